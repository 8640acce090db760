//! What a frame counts.

/// A frame as what it becomes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Of all frames that it becomes, headers included, FCS not.
    pub bytes: u32,
    pub packets: u32,
}

impl Size {
    /// A frame that leaves as it is.
    #[inline]
    pub const fn one(bytes: usize) -> Self {
        Self { bytes: bytes as u32, packets: 1 }
    }

    /// A frame of `len` bytes that is cut into pieces of `piece` bytes of payload, each with the first
    /// `headers` bytes in front.
    #[inline]
    pub const fn cut(len: usize, headers: usize, piece: usize) -> Self {
        let payload = len.saturating_sub(headers);
        if piece == 0 || payload <= piece {
            return Self::one(len);
        }
        let packets = payload.div_ceil(piece);
        Self { bytes: (payload + packets * headers) as u32, packets: packets as u32 }
    }

    #[inline]
    pub const fn bits(self) -> u64 {
        self.bytes as u64 * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_to_be_cut_counts_as_its_pieces() {
        // 45 segments of 1,448 bytes behind 66 bytes of headers.
        assert_eq!(Size::cut(66 + 45 * 1448, 66, 1448), Size { bytes: 45 * 1514, packets: 45 });
        assert_eq!(Size::cut(66 + 44 * 1448 + 1, 66, 1448), Size { bytes: 44 * 1514 + 67, packets: 45 });
        assert_eq!(Size::cut(1000, 66, 1448), Size::one(1000));
        assert_eq!(Size::cut(60, 66, 0), Size::one(60));
    }
}
