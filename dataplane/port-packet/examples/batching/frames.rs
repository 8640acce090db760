//! The frames that are moved, and where they lie in memory.

use std::io;
use vsw_mem::{BATCH, LARGE, SMALL_DATA};
use vsw_port::vnet;

/// Bytes of the frame that is to be cut: 44 segments of 1460 bytes behind headers of 54.
const GSO_LEN: usize = HEADERS + 44 * MSS;
const HEADERS: usize = 14 + 20 + 20;
const MSS: usize = 1460;
const NEEDS_CSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;

/// A frame and its virtio-net header.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) header: [u8; vnet::LEN],
    pub(crate) bytes: Vec<u8>,
}

impl Frame {
    /// So many bytes of an EtherType for experiments, with nothing to offload.
    pub(crate) fn plain(len: usize) -> Self {
        let mut bytes = vec![0x5a; len];
        addresses(&mut bytes, 0x88b5);
        Self { header: [0; vnet::LEN], bytes }
    }

    /// A TCP segment of 64 KB to be cut by who sends it on; as much of its headers as the kernel reads.
    pub(crate) fn large() -> Self {
        let mut bytes = vec![0x5a; GSO_LEN];
        addresses(&mut bytes, 0x0800);
        bytes[14..54].fill(0);
        (bytes[14], bytes[23]) = (0x45, libc::IPPROTO_TCP as u8); // version 4, 20 bytes
        bytes[16..18].copy_from_slice(&((GSO_LEN - 14) as u16).to_be_bytes());
        bytes[46] = 5 << 4; // 20 bytes
        let mut header = [0; vnet::LEN];
        (header[0], header[1]) = (NEEDS_CSUM, GSO_TCPV4);
        for (at, value) in [(2, HEADERS), (4, MSS), (6, 34), (8, 16)] {
            header[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
        }
        Self { header, bytes }
    }

    /// What is measured: a name, the frame, and how many of it wait in a queue, `depth` of the short ones.
    pub(crate) fn all(depth: usize) -> [(&'static str, Self, usize); 3] {
        [
            ("64-byte frames", Self::plain(64), depth),
            ("1514-byte frames", Self::plain(1514), depth),
            ("64 KB frames (TCPv4, 44 segments)", Self::large(), depth.min(64)),
        ]
    }

    pub(crate) fn is_small(&self) -> bool {
        self.bytes.len() <= SMALL_DATA
    }
}

fn addresses(bytes: &mut [u8], ethertype: u16) {
    bytes[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
}

/// Where the header and the frame lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Header, small buffer, large buffer, each somewhere else: as the ports have them.
    Apart,
    /// The header in the headroom of the small buffer; the large buffer somewhere else.
    Headroom,
    /// All in one buffer.
    One,
}

/// Buffers for a batch of frames: with the header and the frame in each to send them, empty to receive.
pub(crate) struct Slots {
    memory: Vec<u8>,
    iovecs: Vec<Vec<libc::iovec>>,
    /// Bytes of a whole message.
    pub(crate) len: usize,
    header_at: usize,
    header_len: usize,
    frame: Frame,
}

/// Where the frame begins in a slot of pieces: on a cache line of its own.
const SMALL_AT: usize = 64;
const LARGE_AT: usize = SMALL_AT + SMALL_DATA;
const SLOT: usize = LARGE_AT + LARGE;

impl Slots {
    /// For messages that begin with the first `header_len` bytes of the header. Buffers are as long as the
    /// frame to send it, and have room for any frame to receive it.
    pub(crate) fn new(frame: &Frame, header_len: usize, layout: Layout, receive: bool) -> Self {
        let len = frame.bytes.len();
        let (small, large) = match receive {
            true => (SMALL_DATA, LARGE),
            false => (len.min(SMALL_DATA), len.saturating_sub(SMALL_DATA)),
        };
        let header_at = if layout == Layout::Apart { 0 } else { SMALL_AT - header_len };
        let parts = match layout {
            Layout::Apart => vec![(0, header_len), (SMALL_AT, small), (LARGE_AT, large)],
            Layout::Headroom => vec![(header_at, header_len + small), (LARGE_AT, large)],
            Layout::One => vec![(header_at, header_len + small + large)],
        };
        let mut memory = vec![0; SLOT * BATCH];
        let slots = memory.chunks_exact_mut(SLOT).map(|slot| {
            if !receive {
                slot[header_at..header_at + header_len].copy_from_slice(&frame.header[..header_len]);
                slot[SMALL_AT..SMALL_AT + len].copy_from_slice(&frame.bytes);
            }
            let parts = parts.iter().filter(|(_, len)| *len > 0);
            let iovec = |&(at, len): &(usize, usize)| libc::iovec {
                iov_base: slot[at..].as_mut_ptr().cast(),
                iov_len: len,
            };
            parts.map(iovec).collect()
        });
        let iovecs = slots.collect();
        Self { memory, iovecs, len: header_len + len, header_len, header_at, frame: frame.clone() }
    }

    /// Buffers of message `i`, which the kernel may read or write as long as `self` is there.
    pub(crate) fn iovecs(&mut self, i: usize) -> &mut [libc::iovec] {
        &mut self.iovecs[i % BATCH]
    }

    /// Fails unless every slot has the frame and its header.
    pub(crate) fn check(&self) -> io::Result<()> {
        for slot in self.memory.chunks_exact(SLOT) {
            same(&slot[SMALL_AT..][..self.frame.bytes.len()], &self.frame.bytes)?;
            // All but `hdr_len`, which the kernel may guess anew.
            let header = 2.min(self.header_len);
            same(&slot[self.header_at..][..header], &self.frame.header[..header])?;
        }
        Ok(())
    }
}

/// Fails unless both are the same.
pub(crate) fn same(got: &[u8], expected: &[u8]) -> io::Result<()> {
    if got == expected { Ok(()) } else { Err(io::Error::other("another frame than the one sent")) }
}

/// Fails unless a call moved a whole message.
pub(crate) fn whole(result: isize, expected: usize) -> io::Result<()> {
    match result {
        r if r < 0 => Err(io::Error::last_os_error()),
        r if r as usize == expected => Ok(()),
        r => Err(io::Error::other(format!("{r} bytes instead of {expected}"))),
    }
}
