//! Headers as bytes: where the fields are, and how to read, write and sum them.
//!
//! Everything works on slices, checks bounds once, never copies a payload and cannot panic on any input.
//! Pure functions; thread-safety is no question.
#![forbid(unsafe_code)]

pub mod checksum;
pub mod eth;
pub mod ip;
pub mod l4;
pub mod vlan;

/// Two bytes at `at`, big-endian. `None` behind the end.
#[inline]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]))
}

/// Writes two bytes at `at`, big-endian. Does nothing behind the end.
#[inline]
pub fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(b) = bytes.get_mut(at..at + 2) {
        b.copy_from_slice(&value.to_be_bytes());
    }
}
