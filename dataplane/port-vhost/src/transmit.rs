//! What is sent to a guest: from frames into its memory.
//!
//! A frame goes into one chain of buffers, or with VIRTIO_NET_F_MRG_RXBUF into as many as it needs (virtio 1.2,
//! 5.1.6.4). What was lent by another guest is copied here: the only copy that it sees.

use crate::fault::Fault;
use crate::ring::raw::prefetch;
use crate::ring::{MOST, Piece};
use crate::run::Run;
use std::ptr::NonNull;
use vsw_mem::{Batch, Frame};
use vsw_port::{Io, vnet};
use vsw_types::DropReason;

/// Where `num_buffers` is in the virtio-net header.
const NUM_BUFFERS: usize = 10;

impl Run {
    /// Sends frames from the front of `from`; those that are left found no buffers.
    ///
    /// # Errors
    /// When the guest did what cannot be gone along with.
    pub(crate) fn transmit(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), Fault> {
        let mut sent = 0;
        let mut result = Ok(());
        while sent < from.len() {
            // A chain for each frame that is left, and some for those that need more.
            let most = if self.terms.mergeable() { MOST } else { from.len() - sent };
            if let Err(fault) = self.ring.take(most, &self.memory, &mut self.chains) {
                result = Err(fault);
                break;
            }
            for i in 0..self.chains.len().min(from.len() - sent) {
                if let Some(piece) = self.chains.at(i).1.first() {
                    prefetch(piece.at);
                }
            }
            let before = sent;
            let mut chain = 0;
            while let Some(frame) = from.get_mut(sent) {
                match self.put(frame, chain) {
                    Put::Chains(n) => chain += n,
                    Put::Refused(reason) => io.count(reason, 1),
                    Put::NoRoom => break,
                }
                sent += 1;
            }
            self.ring.put_back(&self.chains, chain);
            if sent == before {
                break;
            }
        }
        from.drain(..sent).for_each(|frame| io.frames.recycle(frame));
        result
    }

    /// Puts a frame into chains, from the `first` on.
    #[inline]
    fn put(&mut self, frame: &Frame, first: usize) -> Put {
        let header_len = self.terms.header_len();
        let need = (frame.len() + header_len) as u64;
        let (mut room, mut n) = (0, 0);
        while room < need {
            if first + n >= self.chains.len() {
                return Put::NoRoom;
            }
            room += self.chains.at(first + n).0.len;
            n += 1;
            if !self.terms.mergeable() && room < need {
                // The frame is too long for what this guest gives, now and later.
                return Put::Refused(DropReason::TooBig);
            }
        }
        let mut header = [0; vnet::LEN];
        if frame.has_offload() {
            let offload = frame.offload();
            if !self.terms.take(offload) {
                return Put::Refused(DropReason::TxError);
            }
            // Without GUEST_CSUM no flag may be set (5.1.6.4.1).
            if self.terms.caps().csum {
                header = vnet::encode(offload);
            }
        }
        header[NUM_BUFFERS..].copy_from_slice(&(n as u16).to_le_bytes());
        let mut writer = Writer { run: self, chain: first, piece: 0, at: 0 };
        writer.write(&header[..header_len]);
        frame.segments().for_each(|segment| writer.write(segment));
        let mut left = need;
        for i in first..first + n {
            let (chain, _) = self.chains.at(i);
            let written = left.min(chain.len);
            left -= written;
            self.ring.used(chain.id, chain.descs, written as u32);
        }
        Put::Chains(n)
    }
}

/// What became of a frame.
enum Put {
    /// It takes so many chains.
    Chains(usize),
    Refused(DropReason),
    /// The guest has not given enough buffers yet.
    NoRoom,
}

/// Writes into chains from front to back, of which there are enough.
struct Writer<'a> {
    run: &'a Run,
    chain: usize,
    piece: usize,
    at: u32,
}

impl Writer<'_> {
    #[inline]
    fn write(&mut self, mut from: &[u8]) {
        while !from.is_empty() {
            let (_, pieces) = self.run.chains.at(self.chain);
            let Some(piece) = pieces.get(self.piece) else {
                (self.chain, self.piece, self.at) = (self.chain + 1, 0, 0);
                continue;
            };
            let n = from.len().min((piece.len - self.at) as usize);
            copy(from, piece, self.at, n);
            self.run.wrote(piece.guest + u64::from(self.at), n as u64);
            from = &from[n..];
            self.at += n as u32;
            if self.at == piece.len {
                (self.piece, self.at) = (self.piece + 1, 0);
            }
        }
    }
}

/// The first `n` bytes of `from` to `at` in a piece that is as long.
#[inline]
fn copy(from: &[u8], piece: &Piece, at: u32, n: usize) {
    let from = NonNull::from(from).cast::<u8>();
    // SAFETY: the range lies in a piece of guest memory that is mapped. The source is a frame's, or lent memory of
    // a guest; if that is the same guest's, and it gave the same bytes to send and to receive into, the copy must
    // not assume that they do not overlap.
    unsafe { from.copy_to(piece.at.add(at as usize), n) };
}
