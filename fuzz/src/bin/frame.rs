//! Any bytes as a frame: key, decision and egress rules of every port must agree with each other.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use vsw_config::{Config, Draft};
use vsw_switch::{Action, Effects, Fdb, FlowKey, Retag, Snapshot, decide, egress::egress};
use vsw_tests::{bridge, port};
use vsw_types::{Name, Now, PortIdx};

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let words = [
        "access 10",
        "trunk 10,20",
        "trunk 10,20 native 10",
        "trunk 10 native 20 tagged",
        "qinq 100",
        "qinq 10 cvlans 5-20",
        "",
        "isolated",
    ];
    let ports = words.iter().enumerate().map(|(i, w)| port(&format!("p{i}"), w)).collect();
    let bridges = vec![bridge("br0", ports)];
    let config =
        Config::try_from(Draft { generation: 1, bridges, ..Default::default() }).expect("a good draft");
    let fdb = Arc::new(Fdb::new(64, 300, 1, Arc::default()));
    let slot = |name: &Name| name.as_str()[1..].parse().ok().map(PortIdx);
    Snapshot::compile(&config, slot, |_| fdb.clone())
});

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let port = PortIdx(u16::from(*first) % 9); // one more than there are
    let Ok(key) = FlowKey::extract(port, bytes) else {
        assert!(bytes.len() < 22, "only short frames have no key");
        return;
    };
    let now = Now::from_secs(u32::from(*first));
    let Some(ingress) = SNAPSHOT.ingress(port) else { return };
    let verdict = decide(&key, &ingress, now, Effects::Allow);
    assert_eq!(
        decide(&key, &ingress, now, Effects::Deny).class,
        verdict.class,
        "a question is answered alike"
    );
    if matches!(verdict.action, Action::Drop(_)) {
        return;
    }
    let class = verdict.class;
    for (index, table) in SNAPSHOT.ports() {
        let carries = SNAPSHOT.bridges()[0].members(class.vlan).contains(&index);
        let Ok(retag) = egress(&key, &class, table) else { continue };
        assert!(carries, "who is no member gets nothing");
        match retag {
            Retag::Pop | Retag::Replace(_) => assert!(class.tagged && bytes.len() >= 18),
            Retag::Push(tag) => assert_eq!(tag.vid(), class.vlan.get()),
            Retag::Keep => {}
        }
    }
});
