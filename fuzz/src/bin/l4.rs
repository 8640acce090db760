//! Any bytes as a packet: the headers that are found lie inside, in order, and are found again behind a
//! tag.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::fuzz_target;
use vsw_wire::{checksum::Sum, l4};

fuzz_target!(|data: &[u8]| {
    let Some(h) = l4::find(data) else { return };
    assert!(14 <= h.l3 && h.l3 + 20 <= h.l4 && h.l4 + 8 <= h.payload && h.payload <= data.len());
    assert!(h.l4 + h.protocol.checksum_offset() + 2 <= h.payload);
    assert_eq!(l4::find(&data[..h.payload]), Some(h), "the payload does not matter");
    assert_eq!(l4::find(&data[..h.payload - 1]), None);
    // One more tag moves everything by four bytes; eight tags are the most.
    if h.l3 < 14 + 4 * 7 {
        let tagged = [&data[..12], &[0x81, 0, 0, 10], &data[12..]].concat();
        let moved = l4::find(&tagged).expect("found behind a tag");
        assert_eq!((moved.l3, moved.l4, moved.payload), (h.l3 + 4, h.l4 + 4, h.payload + 4));
    }
    let (mut whole, mut halves) = (Sum::default(), Sum::default());
    whole.add(data);
    halves.add(&data[..h.l4]);
    halves.add(&data[h.l4..]);
    assert_eq!(whole.finish(), halves.finish());
});
