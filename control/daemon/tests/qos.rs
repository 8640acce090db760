//! Quality of service as it is typed, with real processes: what is recorded, told, refused and kept.

#[path = "../../core/tests/fake/mod.rs"]
mod fake;
mod host;

use fake::{Fake, State};
use host::{Host, Typed, vswctl};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use vsw_api::v1;

/// br0 with three ports and the profiles of the user guide.
fn tour() -> (Host, Fake) {
    let host = Host::started();
    let dataplane = Fake::start(&host.run_dir(), State::default());
    host.good("add-br br0", "");
    for port in ["tap0", "tap1", "tap2"] {
        host.good(&format!("add-port br0 {port}"), "");
    }
    host.good("add-qos gold --sent-by 500m --sent-to 1g --burst auto --min 100m", "");
    host.good(
        "add-qos voice+bulk --classes voice:prio:dscp=ef,cs5;bulk:weight=3:max=800m;rest:weight=1 --sent-to 1g",
        "",
    );
    (host, dataplane)
}

fn json(typed: &Typed) -> Value {
    assert_eq!((typed.status, typed.stderr.as_str()), (0, ""));
    serde_json::from_str(&typed.stdout).unwrap()
}

/// What the dataplane was told of a port.
fn told(dataplane: &Fake, port: &str) -> Option<v1::PortQos> {
    let state = dataplane.state.lock().unwrap();
    let ports = &state.applied.bridges[0].ports;
    ports.iter().find(|p| p.name == port).unwrap().qos.clone()
}

#[test]
fn profiles_and_ports_are_shown_as_they_are_typed() {
    let (host, dataplane) = tour();
    host.good("set-port br0 tap0 --qos gold", "");
    host.good("set-port br0 tap1 --sent-by 100m --sent-to 1g --trust dscp", "");
    host.good("set-port br0 tap1 --storm broadcast=500pps,multicast=2kpps,unknown=1kpps", "");
    host.good("add-port br0 tap3 --sent-by 1.5g,20kpps,peak=400g,yellow=remark --storm unknown=10m", "");
    host.good(
        "list-qos",
        "\
PROFILE     SENT BY  SENT TO      PORTS
gold        500m     1g,min=100m  tap0
voice+bulk  -        1g           -
  voice:prio:dscp=cs5,ef
  bulk:weight=3:dscp=cs1,af11,af12,af13:max=800m
  rest:weight=1
",
    );
    let profiles = json(&host.ctl("list-qos -o json"));
    assert_eq!(
        profiles[0],
        json!({"name": "gold", "sent_by": "500m", "sent_to": "1g,min=100m", "sent_by_bits_per_second": 500_000_000,
               "sent_by_packets_per_second": null, "sent_to_bits_per_second": 1_000_000_000, "classes": [],
               "ports": ["tap0"]})
    );
    assert_eq!(profiles[1]["classes"][2], "rest:weight=1");
    host.good(
        "show",
        "\
bridge br0: ageing 300 s, 4 ports
  PORT  TYPE  STATE  VLAN                 MTU  MODE
  tap0  tap   up     trunk all native 1  1500  vnet_hdr
    QoS gold
  tap1  tap   up     trunk all native 1  1500  vnet_hdr
    sent by 100m; sent to 1g; trust dscp; storm broadcast=500pps,multicast=2kpps,unknown=1kpps
  tap2  tap   up     trunk all native 1  1500  vnet_hdr
  tap3  tap   up     trunk all native 1  1500  vnet_hdr
    sent by 1.5g,20kpps,peak=400g,yellow=remark; storm unknown=10m
",
    );
    let ports = &json(&host.ctl("show -o json"))["bridges"][0]["ports"];
    assert_eq!(
        ports[1]["qos"],
        json!({"profile": null, "sent_by": "100m", "sent_to": "1g", "classes": [], "trust": "dscp",
               "storm": "broadcast=500pps,multicast=2kpps,unknown=1kpps"})
    );
    assert_eq!((&ports[0]["qos"]["profile"], ports[2].get("qos")), (&json!("gold"), None));
    let by = told(&dataplane, "tap3").unwrap().own.unwrap().sent_by.unwrap();
    assert_eq!((by.rate, by.packets, by.peak), (Some(1_500_000_000), Some(20_000), Some(400_000_000_000)));
}

#[test]
fn a_change_of_a_profile_reaches_its_ports_and_none_is_taken_away_from_them() {
    let (host, dataplane) = tour();
    host.good("set-port br0 tap0 --qos gold", "");
    host.good("set-port br0 tap1 --qos gold", "");
    host.good("set-qos gold --sent-to 2g", "");
    {
        let state = dataplane.state.lock().unwrap();
        let gold = state.applied.profiles.iter().find(|p| p.name == "gold").unwrap();
        let (by, to) = (gold.sent_by.as_ref().unwrap(), gold.sent_to.as_ref().unwrap());
        assert_eq!((by.rate, to.max, to.min), (Some(500_000_000), Some(2_000_000_000), Some(100_000_000)));
    }
    let used = "error: QoS profile gold: is used by ports tap0 and tap1; give them another first, or none with \
                `vswctl set-port br0 tap0 --no-qos`\n";
    host.bad("del-qos gold", 1, used);
    host.good("set-port br0 tap0 --no-qos", "");
    let t = host.ctl("set-port br0 tap1 --sent-by 5m");
    let lost = "note: port tap1: has its own profile now, and QoS profile gold no more\n";
    assert_eq!((t.status, t.stderr.as_str()), (0, lost));
    assert_eq!(told(&dataplane, "tap0"), None);
    host.good("del-qos gold", "");
    host.good("del-qos gold --if-exists", "");
    host.good("add-qos new --sent-to 1m", "");
    host.good("add-qos new --sent-to 1000k --may-exist", "");
    let note = host.ctl("add-qos two --classes a:dscp=ef,cs1;b:dscp=ef,af11:vlan=10");
    assert_eq!(
        (note.status, note.stderr.as_str()),
        (
            0,
            "note: QoS profile two: classes a and b match some of the same frames; a gets them, because it comes \
             first\n"
        )
    );
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let (host, dataplane) = tour();
    host.good("set-port br0 tap0 --qos gold", "");
    host.good("add-port br0 p0 --type patch --peer p1", "");
    let before = (host.ctl("show -o json").stdout, host.ctl("list-qos -o json").stdout);
    let generation = dataplane.state.lock().unwrap().applied.generation;
    for (line, says) in [
        (
            "add-qos gold --sent-by 1m",
            "QoS profile gold: exists already; change it with `vswctl set-qos gold`",
        ),
        ("add-qos empty", "QoS profile empty: says nothing; give it --sent-by, --sent-to or --classes"),
        ("set-qos zinc --sent-by 1m", "QoS profile zinc: does not exist; see `vswctl list-qos`"),
        (
            "set-qos gold --min 2g",
            "QoS profile gold: the guaranteed minimums (rest 2g) are 2g together, more than the 1g that may be sent \
             to the port; lower them, or raise --sent-to",
        ),
        (
            "add-qos x --sent-to 1m --classes a:dscp=ef:min=600k;b:min=500k",
            "QoS profile x: the guaranteed minimums (a 600k, b 500k) are 1.1m together, more than the 1m that may be \
             sent to the port; lower them, or raise --sent-to",
        ),
        (
            "add-qos x --classes a:dscp=1;a:dscp=2",
            "QoS profile x: class a: is there twice; give each class its own name",
        ),
        (
            "set-port br0 tap1 --qos zinc",
            "port tap1: there is no QoS profile zinc; make it with `vswctl add-qos zinc ..`, or see `vswctl list-qos`",
        ),
        (
            "set-qos gold --burst 1000",
            "port tap0: the burst of what is sent by the port of QoS profile gold, 1000 bytes, is smaller than a \
             frame of the port's MTU 1500, which has 1518; raise it, or say auto",
        ),
        (
            "set-port br0 p0 --sent-to 1m",
            "port p0: a patch port has no queue, so what is sent to it cannot be shaped as its own profile says; shape \
             the ports of the bridge behind it, or use a profile with --sent-by only",
        ),
        (
            "set-port br0 tap1 --burst 64k",
            "port tap1: sent by: there is no rate; give bits per second, packets per second or both",
        ),
        (
            "add-port br0 tap9 --burst 64k",
            "port tap9: sent by: there is no rate; give bits per second, packets per second or both",
        ),
        (
            "set-port br0 tap1 --sent-by 1m,20kpps,red=wait",
            "port tap1: sent by: what is too much can wait (red=wait) where there is one rate, in bits per second, and \
             one burst; leave out the others, or red=wait",
        ),
        ("set-port br0 tap1 --trust all", "port tap1: `all` cannot be trusted; say none, pcp, dscp or both"),
        ("qos show zz", "port zz: does not exist; see `vswctl show`"),
    ] {
        host.bad(line, 1, &format!("error: {says}\n"));
    }
    for (line, says) in [
        ("add-qos x --sent-by 0", "0 is below the lowest rate; rates go from 1k to 400g"),
        ("add-qos x --sent-by -5m", "`-5m` is a negative rate"),
        ("add-qos x --sent-to 401g", "401g is above the highest rate"),
        ("add-qos x --sent-to 5pps", "`5pps` is no rate in bits per second"),
        ("add-qos x --sent-by 1m --burst 0", "a burst of 0 bytes is smaller than any frame"),
        ("add-qos x --classes a:colour=red", "class a: there is no setting `colour`"),
        ("set-port br0 tap1 --storm floods=5pps", "`floods` is no kind of storm"),
        ("set-port br0 tap1 --storm broadcast=0pps", "0pps is below the lowest rate"),
        ("set-port br0 tap1 --qos gold --sent-by 1m", "cannot be used with"),
        ("set-port br0 tap1 --no-qos --classes a", "cannot be used with"),
        ("qos", "Usage"),
    ] {
        let t = host.ctl(line);
        assert!(t.status == 2 && t.stderr.contains(says), "vswctl {line}: {t:?}");
    }
    let after = (host.ctl("show -o json").stdout, host.ctl("list-qos -o json").stdout);
    assert_eq!(after, before);
    assert_eq!(dataplane.state.lock().unwrap().applied.generation, generation);
}

#[test]
fn what_was_done_is_told_by_colour_and_class() {
    let (host, _dataplane) = tour();
    let none =
        "No port has any quality of service. Give it one with `vswctl set-port BR PORT --qos PROFILE`.\n";
    host.good("qos show", none);
    host.good("qos show tap2", "port tap2\n  no quality of service\n");
    host.good("set-port br0 tap1 --qos voice+bulk", "");
    host.good("set-port br0 tap0 --sent-by 100m --storm broadcast=500pps", "");
    host.good(
        "qos show",
        "\
port tap0
  SENT BY IT         PACKETS   BYTES
  green                   90   90000
  yellow                   8    8000
  red                      2    2000
  dropped                  2    2000
  broadcast              500  500000
  broadcast dropped       70   70000

port tap1, QoS voice+bulk
  SENT TO IT  PACKETS    BYTES  ECN  DROPS  QUEUE    MAX   MS  MAX-MS
  voice          1000  1000000    2      7  12000  60000  1.5    25.0
    dropped: class-full 4, class-delay 3
  bulk           1000  1000000    2      7  12000  60000  1.5    25.0
    dropped: class-full 4, class-delay 3
  rest           1000  1000000    2      7  12000  60000  1.5    25.0
    dropped: class-full 4, class-delay 3
",
    );
    let told = json(&host.ctl("qos show tap1 -o json"));
    assert_eq!(
        told[0]["classes"][0],
        json!({"name": "voice", "sent": {"packets": 1000, "bytes": 1_000_000},
               "drops": [{"reason": "class-full", "packets": 4}, {"reason": "class-delay", "packets": 3}],
               "ecn_marked": 2, "queue_packets": 12, "queue_bytes": 12_000, "queue_bytes_max": 60_000,
               "queue_ms": 1.5, "queue_ms_max": 25.0})
    );
    host.ctl("set-port br0 tap1 --sent-by 1m,red=wait");
    host.good(
        "qos show tap1",
        "\
port tap1
  SENT BY IT  PACKETS    BYTES  ECN  DROPS  QUEUE    MAX   MS  MAX-MS
  all            1000  1000000    2      7  12000  60000  1.5    25.0
    dropped: class-full 4, class-delay 3
",
    );
    let told = json(&host.ctl("qos show tap1 -o json"));
    assert_eq!(
        (&told[0]["sent_by"], &told[0]["sent_by_queue"]["queue_bytes"]),
        (&json!(null), &json!(12_000))
    );
    let told = json(&host.ctl("qos show tap0 -o json"));
    let count = |n: u64| json!({"packets": n, "bytes": n * 1000});
    assert_eq!(
        told,
        json!([{"bridge": "br0", "port": "tap0", "profile": "", "classes": [],
                "sent_by": {"green": count(90), "yellow": count(8), "red": count(2), "dropped": count(2),
                            "remarked_packets": 8}, "sent_by_queue": null,
                "storm": [{"kind": "broadcast", "passed": count(500), "dropped": count(70)}]}])
    );
}

#[test]
fn watching_goes_on_until_it_is_stopped() {
    let (host, _dataplane) = tour();
    host.good("set-port br0 tap0 --qos gold", "");
    for (format, says) in
        [("json", r#"[{"bridge":"br0","port":"tap0","profile":"gold","#), ("table", "MBIT/S")]
    {
        let mut command = Command::new(vswctl());
        command.args(["qos", "show", "tap0", "--watch", "-o", format]).stdout(Stdio::piped());
        let mut watch = host.environment(&mut command).spawn().unwrap();
        let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        let found = lines.map(Result::unwrap).take(20).filter(|line| line.contains(says)).take(2).count();
        watch.kill().unwrap();
        watch.wait().unwrap();
        assert_eq!(found, 2, "{format}");
    }
}

#[test]
fn profiles_survive_kill_9() {
    let (mut host, dataplane) = tour();
    host.good("set-port br0 tap0 --qos voice+bulk --trust pcp", "");
    host.good("set-port br0 tap1 --sent-by 5m --storm unknown=7pps", "");
    let views = ["list-qos", "show -o json", "list-qos -o json"];
    let before = views.map(|line| host.ctl(line).stdout);
    for n in 0..5 {
        host.good(&format!("set-qos gold --sent-to {}m", 200 + n), "");
        host.kill();
        host.start();
        let listed = host.ctl("list-qos").stdout;
        assert!(listed.contains(&format!("{}m,min=100m", 200 + n)), "{listed}");
    }
    host.good("set-qos gold --sent-to 1g", "");
    let generation = |text: &str| serde_json::from_str::<Value>(text).map(|v| v["bridges"].clone()).ok();
    let after = views.map(|line| host.ctl(line).stdout);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_eq!(generation(&after[1]), generation(&before[1]));

    // The dataplane goes and comes, and is told everything again.
    let applied = dataplane.state.lock().unwrap().applied.clone();
    drop(dataplane);
    let dataplane = Fake::start(&host.run_dir(), State { started: 5, ..Default::default() });
    host::eventually("vswd is told", || dataplane.state.lock().unwrap().applied == applied);
}
