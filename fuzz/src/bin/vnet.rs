//! A virtio-net header and a frame from a hostile guest, through the whole switch to a port that can do
//! nothing by itself.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::BTreeMap;
use vsw_mem::{Csum, Offload, PoolSize};
use vsw_port::sim::SimFrame;
use vsw_port::{PortCaps, vnet};
use vsw_tests::{Rig, Setup, bridge, port};
use vsw_types::Direction;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new({
        let caps = BTreeMap::from([("out".to_owned(), PortCaps::NONE)]);
        let ports = vec![port("a", "access 10"), port("t", "trunk 10,20"), port("out", "trunk 10 mtu 65521")];
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
        for (name, frame) in rig.send(if from & 1 == 0 { "a" } else { "t" }, SimFrame { bytes, offload }) {
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
        assert_eq!(rig.counters("a").drops(Direction::Tx, vsw_types::DropReason::NoFrame), 0);
    });
});
