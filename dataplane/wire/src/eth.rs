//! The Ethernet header (IEEE 802.3-2022, 3.2): destination, source, type.

use crate::u16_at;
use vsw_types::Mac48;

/// Bytes of destination, source and type.
pub const HEADER_LEN: usize = 14;
/// Bytes of destination and source.
pub const ADDRESSES_LEN: usize = 12;

/// EtherTypes (IANA, IEEE 802 numbers).
pub mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const IPV6: u16 = 0x86dd;
    /// A customer tag, IEEE 802.1Q.
    pub const CTAG: u16 = 0x8100;
    /// A service tag, IEEE 802.1ad.
    pub const STAG: u16 = 0x88a8;
}

/// Whether the type announces a VLAN tag.
#[inline]
pub const fn is_tag(ethertype: u16) -> bool {
    ethertype == ethertype::CTAG || ethertype == ethertype::STAG
}

/// Most tags looked through: a bound on the work, not a limit of a standard.
const MAX_TAGS: usize = 8;

/// The type behind all tags, and where what it announces begins: bytes from the start of the frame.
pub(crate) fn payload(bytes: &[u8]) -> Option<(u16, usize)> {
    let mut at = ADDRESSES_LEN;
    let mut kind = u16_at(bytes, at)?;
    for _ in 0..MAX_TAGS {
        if !is_tag(kind) {
            break;
        }
        at += 4;
        kind = u16_at(bytes, at)?;
    }
    Some((kind, at + 2))
}

/// Destination, source and type: two loads. (Taken apart byte by byte it was twenty.)
#[inline(always)]
pub fn header(bytes: &[u8; HEADER_LEN]) -> (Mac48, Mac48, u16) {
    let (Some(front), Some(back)) = (bytes.first_chunk(), bytes.last_chunk()) else { unreachable!("14 > 8") };
    (Mac48::leading(*front), Mac48::leading(*back), u64::from_be_bytes(*back) as u16)
}
