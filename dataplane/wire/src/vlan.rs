//! The VLAN tag (IEEE 802.1Q-2022, clause 9).
//!
//! ```text
//!  0      6      12     14    16     18
//!  | dst  | src  | TPID | TCI | type |      TCI = PCP(3) DEI(1) VID(12)
//! ```

use crate::eth::{ADDRESSES_LEN, ethertype};
use std::num::NonZeroU32;

/// TPID and TCI: bytes.
pub const TAG_LEN: usize = 4;

/// A tag as it lies in the frame: TPID in the upper, TCI in the lower 16 bits. No tag is 0, so that
/// `Option<Tag>` is four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Tag(NonZeroU32);

impl Tag {
    /// `tpid` is not 0.
    #[inline]
    pub const fn new(tpid: u16, tci: u16) -> Self {
        Self::from_bits((tpid as u32) << 16 | tci as u32)
    }
    #[inline]
    const fn from_bits(bits: u32) -> Self {
        match NonZeroU32::new(bits) {
            Some(bits) => Self(bits),
            None => Self(NonZeroU32::MIN),
        }
    }
    /// A customer tag of priority 0.
    #[inline]
    pub const fn customer(vid: u16) -> Self {
        Self::new(ethertype::CTAG, vid)
    }
    #[inline]
    pub const fn tpid(self) -> u16 {
        (self.0.get() >> 16) as u16
    }
    #[inline]
    pub const fn tci(self) -> u16 {
        self.0.get() as u16
    }
    #[inline]
    pub const fn vid(self) -> u16 {
        self.tci() & 0x0fff
    }
    /// Priority code point, 0 to 7.
    #[inline]
    pub const fn pcp(self) -> u8 {
        (self.tci() >> 13) as u8
    }
    /// The same priority and drop eligibility in another VLAN.
    #[inline]
    pub const fn with_vid(self, vid: u16) -> Self {
        Self::from_bits(self.0.get() & !0x0fff | vid as u32)
    }
    /// The same VLAN with another priority, 0 to 7.
    #[inline]
    pub const fn with_pcp(self, pcp: u8) -> Self {
        Self::from_bits(self.0.get() & !0xe000 | ((pcp & 7) as u32) << 13)
    }
    #[inline]
    pub const fn bytes(self) -> [u8; TAG_LEN] {
        self.0.get().to_be_bytes()
    }
}

/// Writes a tag between the addresses and the type. The caller has opened [`TAG_LEN`] free bytes in front.
///
/// # Panics
/// On less than 16 bytes.
#[inline]
pub fn insert(frame: &mut [u8], tag: Tag) {
    frame.copy_within(TAG_LEN..TAG_LEN + ADDRESSES_LEN, 0);
    replace(frame, tag);
}

/// Writes another tag over the outer one.
///
/// # Panics
/// On less than 16 bytes.
#[inline]
pub fn replace(frame: &mut [u8], tag: Tag) {
    frame[ADDRESSES_LEN..ADDRESSES_LEN + TAG_LEN].copy_from_slice(&tag.bytes());
}

/// Slides the addresses over the outer tag. The caller then drops [`TAG_LEN`] bytes from the front.
///
/// # Panics
/// On less than 16 bytes.
#[inline]
pub fn remove(frame: &mut [u8]) {
    frame.copy_within(0..ADDRESSES_LEN, TAG_LEN);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_goes_on_and_comes_off() {
        let plain: Vec<u8> = (0..60).collect();
        let mut tagged = vec![0; 4];
        tagged.extend(&plain);
        let tag = Tag::new(0x8100, 5 << 13 | 10);
        insert(&mut tagged, tag);
        assert_eq!(tagged[..12], plain[..12]);
        assert_eq!(tagged[12..16], [0x81, 0, 0xa0, 10]);
        assert_eq!(tagged[16..], plain[12..]);
        assert_eq!((tag.vid(), tag.pcp()), (10, 5));
        assert_eq!((tag.with_vid(20).vid(), tag.with_vid(20).pcp()), (20, 5));
        remove(&mut tagged);
        assert_eq!(tagged[4..], plain);
    }
}
