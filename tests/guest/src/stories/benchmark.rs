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
    let to = "-i eth0 -m 02:00:00:00:00:99";
    for options in ["-n 3000 -r 3000", "-n 3000 -r 3000 -s imix -f 100", "-n 2000 -r 2000 -v 10 -s 1518"] {
        let lost = run(lab, &guest, &sink, &format!("{to} {options}"));
        assert_eq!(lost, 0, "{options}");
    }
    run(lab, &guest, &sink, &format!("{to} -n 30000"));
    run(lab, &guest, &sink, &format!("{to} -n 30000 -b 32"));
    // Of another VLAN: none arrives, and each is accounted for.
    let other = run(lab, &guest, &sink, &format!("{to} -n 500 -r 1000 -v 20"));
    assert_eq!(other, 500);
}

/// Runs it once; how many were dropped on the way.
#[track_caller]
fn run(lab: &Lab, guest: &Guest, sink: &Namespace, options: &str) -> u64 {
    let counts = || (received(sink), dropped(lab));
    let before = counts();
    let said = guest.good(&format!("/tmp/pktgen.sh {options}"));
    let sum = said.lines().find(|l| l.starts_with("sum")).expect("a sum");
    let words: Vec<&str> = sum.split_whitespace().collect();
    assert_eq!(words.get(5..), Some(&["0", "errors"][..]), "{said}");
    let sent: u64 = words[3].parse().expect("a number");
    let moved = || (counts().0 - before.0, counts().1 - before.1);
    eventually(&format!("all of {options} are accounted for"), || moved().0 + moved().1 >= sent);
    let (received, lost) = moved();
    println!("pktgen.sh {options}: {sum}; {received} received, {lost} dropped by name");
    assert_eq!(received + lost, sent, "{options}");
    lost
}

fn received(sink: &Namespace) -> u64 {
    let links: serde_json::Value =
        serde_json::from_str(&sink.ip("-j -s link show sink")).expect("ip prints JSON");
    links[0]["stats64"]["rx"]["packets"].as_u64().expect("a number")
}

fn dropped(lab: &Lab) -> u64 {
    let drops = lab.json("drops");
    drops.as_array().into_iter().flatten().filter_map(|d| d["packets"].as_u64()).sum()
}
