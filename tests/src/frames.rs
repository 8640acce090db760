//! Frames by a few words.

/// `02:00:00:00:00:XX`; 0xff is broadcast.
pub fn mac(last: u8) -> [u8; 6] {
    if last == 0xff { [0xff; 6] } else { [2, 0, 0, 0, 0, last] }
}

/// A 60-byte frame (plus tags), padded, with the stations' last bytes, and VLAN tags by (TPID, TCI).
pub fn frame(dst: u8, src: u8, tags: &[(u16, u16)]) -> Vec<u8> {
    let mut f = Vec::with_capacity(68);
    f.extend(mac(dst));
    f.extend(mac(src));
    for (tpid, tci) in tags {
        f.extend(tpid.to_be_bytes());
        f.extend(tci.to_be_bytes());
    }
    f.extend([0x88, 0xb5]); // IEEE 802: local experimental
    f.extend([0x55; 46]);
    f
}

/// An 802.1Q tag.
pub const fn c(tci: u16) -> (u16, u16) {
    (0x8100, tci)
}

/// An 802.1ad service tag.
pub const fn s(tci: u16) -> (u16, u16) {
    (0x88a8, tci)
}
