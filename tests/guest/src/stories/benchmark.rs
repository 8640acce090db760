//! The kernel's packet generator inside the guest.

use super::{add_early, machine};
use crate::{Guest, Kind};
use vsw_netns::{Lab, Namespace, eventually};

const SCRIPT: &str = include_str!("../../../../benches/pktgen/pktgen.sh");

/// Every frame is received by the container, or has a name among the drops.
pub fn pktgen_in_the_guest_is_counted_at_the_other_side(lab: &Lab, kind: Kind) {
    let (machine, nic) = machine(lab, kind);
    add_early(lab, &nic, "--trunk 10,20 --native 10");
    let sink = Namespace::new("sink");
    // Nothing but what pktgen sends.
    assert!(sink.typed("sysctl -q net.ipv6.conf.default.disable_ipv6=1").ok());
    lab.good(&format!("add-port br0 sink --netns {} --mac 02:00:00:00:00:99 --vlan 10", sink.name()));
    sink.ip("link set dev sink up");
    let guest = machine.boot(lab);
    lab.becomes("vm0", "up");
    guest.good(
        "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip addr flush dev eth0; ip link set eth0 up",
    );
    guest.good(&format!("cat >/tmp/pktgen.sh <<'END'\n{SCRIPT}END\nchmod +x /tmp/pktgen.sh"));
    lab.good("add-mac br0 02:00:00:00:00:99 sink --vlan 10");
    let run = |options: &str| run(lab, &guest, &sink, &format!("-i eth0 -m 02:00:00:00:00:99 {options}"));
    let all = |options: &str, size: u64| {
        let Outcome { received, bytes, lost } = run(options);
        assert_eq!((lost, bytes), (0, received * size), "{options}");
    };
    // Sizes as they arrive: without the FCS, and without the tag.
    all("-n 3000 -r 3000", 60);
    all("-T 1 -r 2000 -q", 60);
    all("-n 2000 -r 2000 -v 10 -p 5 -s 1518", 1514);
    all("-n 3000 -r 3000 -f 100", 60);
    let stations = lab.json("show-macs br0 --port vm0").as_array().map_or(0, Vec::len);
    assert!((100..105).contains(&stations), "{stations} stations");
    all("-n 2000 -r 2000 -D 50", 60);
    let mixed = run("-n 3000 -r 3000 -s imix");
    let mean = mixed.bytes / mixed.received;
    assert!(mixed.lost == 0 && (330..380).contains(&mean), "7:4:1 of 60, 590 and 1514 are 357 bytes: {mean}");
    // As fast as it can.
    run("-n 30000");
    run("-n 30000 -b 32");
    // Of another VLAN: none arrives, and each is accounted for.
    assert_eq!(run("-n 500 -r 1000 -v 20").lost, 500);
    // What the real kernel refuses is told.
    let refused = guest.run("/tmp/pktgen.sh -i eth0 -m 02:00:00:00:00:99 -t 7");
    assert!(refused.status == 1 && refused.output.contains("no CPU 7"), "{}", refused.output);
    let refused = guest.run(
        "ip link add link eth0 name v0 type vlan id 9; ip link set v0 up; /tmp/pktgen.sh -i v0 -m 02:00:00:00:00:99 -b 4",
    );
    assert!(refused.status == 1 && refused.output.contains("leave -b out"), "{}", refused.output);
}

/// What became of a run.
struct Outcome {
    received: u64,
    bytes: u64,
    /// Dropped on the way, by name.
    lost: u64,
}

/// Runs it once; every frame that it says it sent must be found again.
#[track_caller]
fn run(lab: &Lab, guest: &Guest, sink: &Namespace, options: &str) -> Outcome {
    let counts = || [received(sink, "packets"), dropped(lab), received(sink, "bytes")];
    let before = counts();
    let said = guest.good(&format!("/tmp/pktgen.sh {options}"));
    let sum = said.lines().find(|l| l.starts_with("sum")).expect("a sum");
    let words: Vec<&str> = sum.split_whitespace().collect();
    assert_eq!(words.get(5..), Some(&["0", "errors"][..]), "{said}");
    let sent: u64 = words[3].parse().expect("a number");
    let moved = || {
        let now = counts();
        [0, 1, 2].map(|i| now[i] - before[i])
    };
    eventually(&format!("all of {options} are accounted for"), || moved()[0] + moved()[1] >= sent);
    let [received, lost, bytes] = moved();
    println!(
        "pktgen.sh {options}: {sent} sent at {} pps, {received} received, {lost} dropped by name",
        words[1]
    );
    assert_eq!(received + lost, sent, "{options}");
    Outcome { received, bytes, lost }
}

fn received(sink: &Namespace, what: &str) -> u64 {
    let links: serde_json::Value =
        serde_json::from_str(&sink.ip("-j -s link show sink")).expect("ip prints JSON");
    links[0]["stats64"]["rx"][what].as_u64().expect("a number")
}

fn dropped(lab: &Lab) -> u64 {
    let drops = lab.json("drops");
    drops.as_array().into_iter().flatten().filter_map(|d| d["packets"].as_u64()).sum()
}
