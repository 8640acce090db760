//! The Internet checksum (RFC 1071), over pieces of any length.
//!
//! Sums are kept in 64 bits in the host's byte order and folded at the end: one's-complement addition
//! does not care about byte order or word size (RFC 1071, 2).

/// A sum in the making. Pieces are added in order; one of odd length shifts what follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: u64,
    odd: bool,
}

impl Sum {
    /// Begins with a folded sum, such as the contents of a checksum field that holds the sum of a
    /// pseudo-header.
    pub fn new(start: u16) -> Self {
        Self { sum: u64::from(u16::from_ne_bytes(start.to_be_bytes())), odd: false }
    }

    /// Adds the next bytes of the message.
    pub fn add(&mut self, bytes: &[u8]) {
        let sum = fold(raw(bytes));
        self.sum += u64::from(if self.odd { sum.swap_bytes() } else { sum });
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// Adds a number as two bytes on the wire, at an even place.
    pub fn add_u16(&mut self, value: u16) {
        self.sum += u64::from(u16::from_ne_bytes(value.to_be_bytes()));
    }

    /// The sum as a number on the wire, not complemented: what a pseudo-header leaves in a checksum field.
    pub fn folded(self) -> u16 {
        u16::from_be_bytes(fold(self.sum).to_ne_bytes())
    }

    /// What goes into the checksum field.
    pub fn finish(self) -> u16 {
        !self.folded()
    }
}

/// A checksum field after one 16-bit word of what it covers changed (RFC 1624, equation 3).
pub fn changed(field: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!field) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Sums 64 bits at a time with carries counted apart, which the compiler turns into vectors.
fn raw(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    // Each addend is below 2^32, so 2^32 of them fit: frames are shorter.
    let mut sum: u64 = words.iter().map(|w| u64::from(u32::from_ne_bytes(*w))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_ne_bytes(last));
    sum
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071, section 4.1, word by word.
    fn slow(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn agrees_with_the_words_of_the_rfc_however_it_is_cut() {
        let bytes: Vec<u8> = (0..3001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in [0, 1, 2, 3, 4, 5, 20, 61, 1500, 3001] {
            for cut in [0, 1, 2, 3, 7, 8, len] {
                let mut sum = Sum::default();
                let (a, b) = bytes[..len].split_at(cut.min(len));
                sum.add(a);
                sum.add(b);
                assert_eq!(sum.finish(), slow(&bytes[..len]), "{len} bytes cut at {cut}");
            }
        }
    }

    #[test]
    fn begins_with_what_the_field_holds() {
        let mut whole = Sum::default();
        whole.add(&[0x12, 0x34, 0x56, 0x78, 0x9a]);
        let mut start = Sum::default();
        start.add(&[0x12, 0x34]);
        let mut rest = Sum::new(start.folded());
        rest.add(&[0x56, 0x78, 0x9a]);
        assert_eq!(whole.finish(), rest.finish());
    }
}
