//! Every command of vswctl as it is typed: what it prints, how it ends.

#[path = "../../core/tests/fake/mod.rs"]
mod fake;
mod host;

use fake::{Fake, State};
use host::{Host, Typed, eventually, vswctl};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use vsw_api::v1::PortState;

/// br0 with one port of each kind of VLAN setting, and two that are not up; br1 without ports.
fn tour() -> (Host, Fake) {
    let host = Host::started();
    let ill = |n: &str, s, r: &str, m: &str| (n.to_owned(), s, r.to_owned(), m.to_owned());
    let ill = vec![
        ill("tap0", PortState::Down, "the other side has no carrier", "vnet_hdr"),
        ill("eth1", PortState::Failed, "its driver went away", ""),
        ill("veth2", PortState::Up, "", "native, copy: the driver veth has no zero-copy"),
    ];
    let dataplane = Fake::start(&host.run_dir(), State { ill, ..Default::default() });
    host.good("addbr br0", "");
    host.good("add-br br1 --ageing 60 --mac-limit 7", "");
    host.good("add-port br0 tap0 --vlan 10", "");
    host.good("addif br0 tap1", "");
    host.good("add-port br0 veth2 --type afxdp --trunk 10,20-22 --mtu 9000", "");
    host.good("add-port br0 eth1 --qinq 100 --cvlans 5-6 --no-wait", "");
    host.good(
        "add-port br0 tap3 --trunk 20 --native 30 --native-tagged --isolated --mac 02:00:00:00:00:33",
        "",
    );
    (host, dataplane)
}

#[test]
fn show_tells_people_what_there_is() {
    let (host, dataplane) = tour();
    host.good(
        "show",
        "\
bridge br0: ageing 300 s, 5 ports
  PORT   TYPE  STATE   VLAN                           MTU  MODE
  eth1   tap   failed  qinq 100 of 5-6               1500
    its driver went away
  tap0   tap   down    10                            1500  vnet_hdr
    the other side has no carrier
  tap1   tap   up      trunk all native 1            1500  vnet_hdr
  tap3   tap   up      trunk 20,30 native 30 tagged  1500  vnet_hdr
  veth2  tap   up      trunk 10,20-22                1500  native, copy

bridge br1: ageing 60 s, no ports
",
    );
    host.good("show br1", "bridge br1: ageing 60 s, no ports\n");
    host.good("list-br", "br0\nbr1\n");
    host.good("list-ports br0", "eth1\ntap0\ntap1\ntap3\nveth2\n");
    host.good("list-ports br1", "");
    drop(dataplane);
    let run = host.run_dir();
    let shown = host.ctl("show br1").stdout;
    let why =
        format!("The state of ports is unknown: vswd cannot be reached at {}/datapath.sock (", run.display());
    assert!(shown.starts_with(&why), "{shown}");
}

#[test]
fn show_tells_programs_what_was_promised() {
    let (host, dataplane) = tour();
    let all = json(&host.ctl("show -o json"));
    assert_eq!(all["generation"], 7);
    assert_eq!(all["bridges"][1], json!({"name": "br1", "ageing_seconds": 60, "ports": []}));
    let ports = all["bridges"][0]["ports"].as_array().unwrap();
    assert_eq!(
        ports[1],
        json!({
            "name": "tap0", "type": "tap", "type_reason": "there was no such interface", "state": "down",
            "reason": "the other side has no carrier", "mode": "vnet_hdr", "vlan_mode": "access", "vlan": 10,
            "trunks": [], "mac": "02:00:00:00:00:01", "mtu": 1500, "queues": 1, "offloads": ["csum", "tso4"]
        })
    );
    let vlans = |n: usize| [&ports[n]["vlan_mode"], &ports[n]["vlan"], &ports[n]["trunks"]].map(Value::clone);
    assert_eq!(vlans(0), [json!("qinq"), json!(100), json!([5, 6])]);
    assert_eq!(vlans(3), [json!("native-tagged"), json!(30), json!([20, 30])]);
    assert_eq!(vlans(4), [json!("trunk"), json!(null), json!([10, 20, 21, 22])]);
    let [mode, vlan, trunks] = vlans(2);
    assert_eq!((mode, vlan), (json!("native-untagged"), json!(1)));
    assert_eq!(trunks.as_array().unwrap().len(), 4094);
    let yaml = host.ctl("show br1 -o yaml").stdout;
    assert_eq!(yaml, "generation: 7\nbridges:\n- name: br1\n  ageing_seconds: 60\n  ports: []\n");

    drop(dataplane);
    let port = &json(&host.ctl("show -o json"))["bridges"][0]["ports"][1];
    assert_eq!(port["state"], "down");
    assert!(port["reason"].as_str().unwrap().starts_with("vswd cannot be reached at "), "{port}");
}

#[test]
fn counters_and_stations_are_told() {
    let (host, dataplane) = tour();
    host.good(
        "stats tap0",
        "\
PORT  RX-PKTS  RX-BYTES  RX-DROP  TX-PKTS  TX-BYTES  TX-DROP  MACS
tap0      100      6400        9       50      3200        5     3
",
    );
    assert_eq!(
        json(&host.ctl("stats tap0 -o json")),
        json!([{"bridge": "br0", "port": "tap0", "rx_packets": 100, "rx_bytes": 6400, "tx_packets": 50,
                "tx_bytes": 3200, "rx_dropped": 9, "tx_dropped": 5, "macs": 3, "macs_moved": 0,
                "macs_evicted": 0, "macs_refused": 2}])
    );
    assert_eq!(json(&host.ctl("stats -o json")).as_array().unwrap().len(), 5);
    host.good(
        "drops tap0",
        "\
PORT  DIR  PACKETS  REASON
tap0  rx         7  vlan    The frame was dropped for a test.
tap0  rx         2  runt    The frame was dropped for a test.
tap0  tx         5  full    The frame was dropped for a test.
",
    );
    let first = json!({"bridge": "br0", "port": "tap0", "direction": "rx", "reason": "vlan", "packets": 7});
    let drops = json(&host.ctl("drops tap0 -o json"));
    assert_eq!((drops.as_array().unwrap().len(), &drops[0]), (3, &first));
    let macs = "\
MAC                VLAN  PORT      AGE
02:00:00:00:01:00    10  eth1   static
02:00:00:00:01:01    10  tap0      4 s
02:00:00:00:01:02    10  tap1      4 s
02:00:00:00:01:03    10  tap3      4 s
02:00:00:00:01:04    10  veth2     4 s
";
    host.good("show-macs br0", macs);
    host.good("showmacs br0", macs);
    assert_eq!(
        json(&host.ctl("show-macs br0 -o json"))[1],
        json!({"mac": "02:00:00:00:01:01", "vlan": 10, "port": "tap0", "age_seconds": 4, "static": false})
    );
    host.good("show-macs br1 -o json", "[]\n");

    host.good("add-mac br0 02:00:00:00:00:01 tap0", "");
    host.good("add-mac br0 02:00:00:00:00:02 tap1 --vlan 7", "");
    host.good("del-mac br0 02:00:00:00:00:02", "");
    host.good("flush-macs br0 --vlan 10 --static", "4 stations forgotten\n");
    let state = dataplane.state.lock().unwrap();
    assert!(state.applied.bridges[0].stations.is_empty());
    assert_eq!(state.flushed[0].vlan, Some(10));
}

#[test]
fn watching_goes_on_until_it_is_stopped() {
    let (host, _dataplane) = tour();
    let mut command = Command::new(vswctl());
    command.args(["stats", "tap0", "--watch", "-o", "json"]).stdout(Stdio::piped());
    let mut watch = host.environment(&mut command).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line[0]["rx_packets"], 100);
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn changes_have_the_feel_of_brctl() {
    let (host, dataplane) = tour();
    host.good("set-br br1 --ageing 10", "");
    host.good("setageing br0 20", "");
    host.good("set-port br0 tap3 --isolated=false --vlan 40", "");
    host.good("set-port br0 tap3 --isolated --mac-limit 3", "");
    host.good("add-port br0 tap0 --vlan 10 --may-exist", "");
    host.good("delif br0 tap1", "");
    host.good("del-port br0 tap1 --if-exists", "");
    host.good("delbr br1", "");
    host.good("del-br br1 --if-exists", "");
    let state = dataplane.state.lock().unwrap();
    let [br0] = &state.applied.bridges[..] else { panic!("one bridge is left") };
    let tap3 = br0.ports.iter().find(|p| p.name == "tap3").unwrap();
    assert_eq!((br0.ageing_seconds, br0.ports.len()), (Some(20), 4));
    assert_eq!(
        (tap3.isolated, tap3.mac_limit, tap3.vlan.as_ref().unwrap().access),
        (true, Some(3), Some(40))
    );
}

#[test]
fn bad_input_is_refused_in_one_line_and_changes_nothing() {
    let (host, _dataplane) = tour();
    let before = host.ctl("show -o json").stdout;
    for (line, says) in [
        ("add-br br0", "bridge br0: exists already; change it with `vswctl set-br br0`"),
        ("del-br br9", "bridge br9: does not exist; create it with `vswctl add-br br9`"),
        ("show br9", "bridge br9: does not exist; create it with `vswctl add-br br9`"),
        (
            "add-br a_name_of_16_byte",
            "bridge a_name_of_16_byte: `a_name_of_16_byte` is longer than 15 characters, the most that an interface \
             name can have",
        ),
        (
            "add-port br0 a/b",
            "port a/b: `a/b` contains '/'; an interface name is printable ASCII without spaces, `/` and `:`",
        ),
        ("add-port br0 x --vlan 0", "port x: VLAN 0 does not exist; VLAN ids go from 1 to 4094"),
        ("add-port br0 x --vlan 4095", "port x: VLAN 4095 does not exist; VLAN ids go from 1 to 4094"),
        (
            "add-port br0 x --trunk 10,,20",
            "port x: `10,,20` is not a list of VLANs: `` is neither a number nor a range; write 10,20-29,30",
        ),
        (
            "add-port br1 tap0",
            "port tap0: is in bridge br0 already; a port is in one bridge, so remove it there first with \
             `vswctl del-port br0 tap0`",
        ),
        (
            "add-port br0 tap0 --vlan 11 --may-exist",
            "port tap0: is in bridge br0 already, with another VLAN setting; change it with `vswctl set-port br0 \
             tap0`, or remove it first",
        ),
        (
            "add-port br0 x --type wire",
            "port x: there is no port type `wire`; the types are auto, tap, internal, packet, afxdp, vhost-user and patch",
        ),
        ("set-port br0 x --mtu 9000", "port x: is not in bridge br0; see `vswctl list-ports br0`"),
        ("set-port br0 tap0 --mtu 10", "port tap0: MTU 10 is out of range; it goes from 68 to 65521 bytes"),
        ("del-port br1 tap0", "port tap0: is in bridge br0, not in br1; name that bridge"),
        (
            "add-mac br0 01:00:00:00:00:01 tap0",
            "station 01:00:00:00:00:01: 01:00:00:00:00:01 cannot be the address of a station; it is a group address \
             or all zero",
        ),
        (
            "add-mac br0 02:00:00:00:00:01 tap0 --vlan 11",
            "station 02:00:00:00:00:01: port tap0 does not carry VLAN 11",
        ),
        (
            "del-mac br0 02:00:00:00:00:01",
            "station 02:00:00:00:00:01: is no static station of bridge br0; see `vswctl show-macs br0`",
        ),
        ("stats zz", "port zz: does not exist; see `vswctl show`"),
        (
            "set-br br0 --ageing 0",
            "bridge br0: ageing time 0 is out of range; it goes from 1 to 1000000 seconds",
        ),
    ] {
        host.bad(line, 1, &format!("error: {says}\n"));
    }
    let after = host.ctl("show -o json").stdout;
    assert_eq!(after, before);
}

#[test]
fn usage_errors_end_with_2_and_an_absent_control_process_with_3() {
    let host = Host::new();
    for line in [
        "",
        "no-such-command",
        "add-br",
        "add-port br0 x --vlan ten",
        "add-port br0 x --vlan 1 --trunk 2",
        "add-port br0 x --trunk 2 --qinq 3",
        "add-port br0 x --cvlans 3",
        "show -o xml",
        "--control tcp:1 show",
    ] {
        assert_eq!(host.ctl(line).status, 2, "vswctl {line}");
    }
    let later =
        "error: --control https://host:1: control over TCP with TLS is not there yet; use unix:PATH\n";
    host.bad("--control https://host:1 show", 2, later);

    let (run, socket) = (host.run_dir(), host.socket());
    let absent = format!(
        "error: vswcontrold cannot be reached at unix:{} (No such file or directory (os error 2)); start it with \
         `vswcontrold --run-dir {}`\n",
        socket.display(),
        run.display()
    );
    for line in ["show", "add-br br0", "add-br br0 --no-wait", "stats --watch", "list-br -o json"] {
        host.bad(line, 3, &absent);
    }
    let version = host.ctl("version");
    assert_eq!((version.status, version.stderr), (3, absent));
    assert_eq!(version.stdout, format!("vswctl       {}\n", env!("CARGO_PKG_VERSION")));

    // A socket that nobody listens on any more.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(host.ctl("show").stderr.contains("(Connection refused (os error 111)); start it with"));
    assert_eq!(host.ctl(&format!("show --control unix:{}", socket.display())).status, 3);
}

#[test]
fn versions_are_told() {
    let (host, _dataplane) = tour();
    let own = env!("CARGO_PKG_VERSION");
    host.good("version", &format!("vswctl       {own}\nvswcontrold  {own}\nvswd         1.2.3\n"));
    let version = json(&host.ctl("version -o json"));
    assert_eq!(version, json!({"vswctl": own, "vswcontrold": own, "vswd": "1.2.3"}));
}

#[test]
fn every_command_explains_itself() {
    let host = Host::new();
    let reference = host.ctl("reference");
    assert_eq!(reference.status, 0);
    let commands: Vec<&str> = reference.stdout.lines().filter_map(|l| l.strip_prefix("## vswctl ")).collect();
    assert_eq!(commands.len(), 23, "{commands:?}");
    for command in &commands {
        let help = host.ctl(&format!("{command} --help"));
        assert_eq!(help.status, 0);
        assert!(help.stdout.contains(&format!("Example:\n  vswctl {command}")), "{}", help.stdout);
    }
    for alias in ["addbr", "delbr", "addif", "delif", "showmacs", "setageing"] {
        assert!(host.ctl(&format!("{alias} --help")).status == 0, "{alias}");
        assert!(reference.stdout.contains(alias), "{alias}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = host.ctl(&format!("completion {shell}"));
        assert_eq!(script.status, 0);
        assert!(script.stdout.contains("add-port"), "{shell}");
    }
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let (host, _dataplane) = tour();
    let mut command = Command::new(vswctl());
    command.args(["show", "-o", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = host.environment(&mut command).spawn().unwrap();
    drop(child.stdout.take());
    eventually("vswctl ends", || child.try_wait().unwrap().is_some());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), out.stderr.as_slice()), (Some(0), &b""[..]));
}

fn json(typed: &Typed) -> Value {
    assert_eq!((typed.status, typed.stderr.as_str()), (0, ""));
    serde_json::from_str(&typed.stdout).unwrap()
}
