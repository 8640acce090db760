//! A virtio-net header and a frame from a hostile guest, through the whole switch to a port that can do
//! nothing by itself; also from one whose frames wait first.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::BTreeMap;
use vsw_config::{DraftPolicer, DraftProfile};
use vsw_mem::{Csum, Offload, PoolSize};
use vsw_port::sim::SimFrame;
use vsw_port::{PortCaps, vnet};
use vsw_tests::{Rig, Setup, bridge, port};
use vsw_types::Direction;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new({
        let caps = BTreeMap::from([("out".to_owned(), PortCaps::NONE)]);
        let mut slow = port("w", "trunk 10,20");
        let sent_by = DraftPolicer { rate: Some(100_000_000), red: "wait".into(), ..Default::default() };
        slow.qos.own = Some(DraftProfile { sent_by: Some(sent_by), ..Default::default() });
        let (a, t) = (port("a", "access 10"), port("t", "trunk 10,20"));
        let ports = vec![a, t, slow, port("out", "trunk 10 mtu 65521")];
        let pool = PoolSize { small: 256, large: 32 };
        Rig::start(Setup { caps, pool, ..Default::default() }, vec![bridge("br0", ports)])
    });
}

fuzz_target!(|data: &[u8]| {
    let Some((&[from, stretch], data)) = data.split_first_chunk::<2>() else { return };
    let Some((header, bytes)) = data.split_first_chunk::<{ vnet::LEN }>() else { return };
    let mut bytes = bytes.to_vec();
    // Long frames of few bytes of input.
    bytes.resize((bytes.len() + usize::from(stretch) * 256).min(vsw_mem::MAX_FRAME), stretch);
    let Ok(offload) = vnet::decode(header, bytes.len()) else { return };
    assert_eq!(vnet::decode(&vnet::encode(offload), bytes.len()), Ok(offload));
    RIG.with_borrow_mut(|rig| {
        let mut pieces = 0;
        let mut heard = rig.send(["a", "t", "w"][usize::from(from) % 3], SimFrame { bytes, offload });
        // Longer than any of them takes.
        heard.extend(rig.let_pass(50_000_000, 5_000_000).into_iter().map(|(_, name, frame)| (name, frame)));
        for (name, frame) in heard {
            if name == "out" {
                let Offload { csum, gso } = frame.offload;
                assert!(gso.is_none() && !matches!(csum, Csum::Partial { .. }), "everything was done");
                assert_eq!(frame.bytes[12..14], [0x81, 0], "tagged");
                assert_eq!(frame.bytes[15], 10, "in its VLAN");
                pieces += 1;
            }
        }
        assert!(pieces <= 4096, "the work is bounded");
        rig.check_accounts();
        assert_eq!(rig.counters("w").rx_queued(), 0, "nothing waits for ever");
        assert_eq!(rig.counters("a").drops(Direction::Tx, vsw_types::DropReason::NoFrame), 0);
    });
});
