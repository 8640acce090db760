//! Nothing vanishes uncounted: what machines sent is what others got, or was dropped by name.

use vsw_netns::flows::Datagrams;
use vsw_netns::traffic::{addresses, reaches, transfer};
use vsw_netns::{Lab, Namespace, Pair, eventually};

/// The kernel's counters of an interface: packets it received and sent.
fn kernel(machine: &Namespace, ifname: &str) -> (u64, u64) {
    let text = machine.ip(&format!("-s -j link show dev {ifname}"));
    let link: serde_json::Value = serde_json::from_str(&text).unwrap();
    let count = |way: &str| link[0]["stats64"][way]["packets"].as_u64().unwrap();
    (count("rx"), count("tx"))
}

/// Sums over all ports of a bridge: rx, tx, drops.
fn sums(lab: &Lab, bridge: &str) -> (u64, u64, u64) {
    let stats = lab.json("stats");
    let sum = |fields: &[&str]| {
        let ports = stats.as_array().unwrap().iter().filter(|p| p["bridge"] == bridge);
        ports.flat_map(|p| fields.iter().map(|f| p[*f].as_u64().unwrap())).sum()
    };
    (sum(&["rx_packets"]), sum(&["tx_packets"]), sum(&["rx_dropped", "tx_dropped"]))
}

/// With two ports a flood has one member at most: each frame leaves once or dies once.
#[test]
fn every_frame_leaves_or_is_dropped_by_name() {
    let Some(lab) = Lab::new("every_frame_leaves_or_is_dropped_by_name") else { return };
    lab.good("add-br br0");
    let a = lab.tap("br0", "a", 1, "");
    let b = lab.tap("br0", "b", 2, "");
    reaches(&a, 2);
    for to in addresses(2) {
        transfer(&a, &b, to, 16 << 20);
    }
    // Larger than the MTU of the way out.
    lab.good("set-port br0 b --mtu 1000");
    a.typed("ping -q -c 5 -i 0.2 -W 1 -M do -s 1400 10.0.0.2");
    lab.good("set-port br0 b --mtu 1500");
    // The other side does not listen any more.
    lab.good("set-port br0 b --vlan 20");
    a.typed("ping -q -c 5 -i 0.2 -W 1 10.0.0.2");
    a.ip("link set dev a down");
    b.ip("link set dev b down");

    eventually("rx = tx + drops", || {
        let (rx, tx, dropped) = sums(&lab, "br0");
        rx > 0 && rx == tx + dropped
    });
    assert!(lab.dropped("b", "too-big") >= 5);
    // And the kernels at both ends say the same.
    for (machine, port) in [(&a, "a"), (&b, "b")] {
        let stats = &lab.json(&format!("stats {port}"))[0];
        let (rx, tx) = kernel(machine, port);
        assert_eq!(stats["rx_packets"].as_u64(), Some(tx), "{port} sent");
        assert_eq!(stats["tx_packets"].as_u64(), Some(rx), "{port} received");
    }
}

/// At ports of every kind: of what is policed where it comes in and waits where it leaves, nothing is missing
/// at any moment. Floods have one member, and nothing is cut.
#[test]
fn what_waits_and_what_is_policed_adds_up() {
    let Some(lab) = Lab::new("what_waits_and_what_is_policed_adds_up") else { return };
    let to = "--sent-to 500k --classes rest:queue=20k";
    for pair in Pair::of_each_kind(&lab, "--sent-by 1m,burst=60k", to) {
        pair.reach();
        let (kind, a, b) = (pair.kind, pair.port_a(), pair.port_b());
        let queued = || {
            let class = lab.json(&format!("qos show {b}"))[0]["classes"][0].clone();
            (class["queue_packets"].as_u64().unwrap(), class["queue_bytes_max"].as_u64().unwrap())
        };
        let udp = Datagrams::new(&pair.a, &pair.b, pair.to(), 8);
        // Fewer than any queue on the way to the switch takes, should nobody listen for a while.
        (0..25).for_each(|_| udp.round(1000));
        assert!(queued().0 > 0, "{kind}: something waits");
        eventually(&format!("{kind}: nothing waits any more"), || queued().0 == 0);
        eventually(&format!("{kind}: rx = tx + drops"), || {
            let (rx, tx, dropped) = sums(&lab, kind);
            rx >= 200 && rx == tx + dropped
        });
        let policed = lab.dropped(&a, "policed");
        let at_the_queue = lab.dropped(&b, "class-full") + lab.dropped(&b, "class-delay");
        assert!(policed > 50 && at_the_queue > 5, "{kind}: {policed} and {at_the_queue} dropped");
        // What a neighbour asks may be among the dead.
        let all = udp.arrived() + policed + at_the_queue;
        assert!((200..220).contains(&all), "{kind}: {all} of 200 arrived or died by name");
        assert!(queued().1 <= 20_000, "{kind}: {:?}", queued());
    }
}
