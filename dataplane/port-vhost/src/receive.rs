//! What a guest sends: from its memory into frames.
//!
//! The front of each frame is copied, once, and all that is decided is decided by the copy. Of a frame that is
//! longer than [`COPIED`] the rest stays where it is and is lent; it is copied when it arrives, from one guest's
//! memory into the other's, or by the system call that takes it.

use crate::fault::Fault;
use crate::ring::Piece;
use crate::ring::raw::prefetch;
use crate::run::Run;
use vsw_mem::{Batch, Frame, MAX_FRAME};
use vsw_port::{Io, vnet};
use vsw_types::DropReason;

/// Frames up to this long are copied as a whole: cheaper than lending.
const COPIED: usize = 512;
/// Of longer ones, so much is copied: all headers, and then some.
const FRONT: usize = 256;

impl Run {
    /// Receives into `into`, up to its capacity.
    ///
    /// # Errors
    /// When the guest did what cannot be gone along with.
    pub(crate) fn receive(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), Fault> {
        let most = into.remaining_capacity().min(self.loans.room());
        self.ring.take(most, &self.memory, &mut self.chains)?;
        for i in 0..self.chains.len() {
            if let Some(piece) = self.chains.at(i).1.first() {
                prefetch(piece.at);
            }
        }
        for i in 0..self.chains.len() {
            match self.frame(i, io)? {
                Taken::Frame(frame) => into.push(frame),
                Taken::Broken => {}
                Taken::NoBuffer => {
                    // They wait in the ring.
                    self.ring.put_back(&self.chains, i);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The frame of a chain.
    #[inline]
    fn frame(&mut self, i: usize, io: &mut Io) -> Result<Taken, Fault> {
        let (chain, pieces) = self.chains.at(i);
        let header_len = self.terms.header_len();
        let Some(len) = (chain.len as usize).checked_sub(header_len) else {
            return Err(Fault::ShortBuffer(chain.len as u32));
        };
        if chain.len > (MAX_FRAME + header_len) as u64 {
            self.loans.push(chain.id, chain.descs, 0);
            io.count(DropReason::OverLong, 1);
            return Ok(Taken::Broken);
        }
        let Some(mut frame) = io.frames.take() else { return Ok(Taken::NoBuffer) };
        let mut from = Reader { pieces, at: 0 };
        let mut header = [0; vnet::LEN];
        from.copy(&mut header[..header_len]);
        let front = if len <= COPIED { len } else { FRONT };
        from.copy(&mut frame.room_mut()[..front]);
        frame.set_len(front);
        if front == len {
            self.loans.push(chain.id, chain.descs, 0);
        } else {
            let rest = || from.rest();
            let mut left = rest().count() as u32;
            let open = self.loans.push(chain.id, chain.descs, left);
            for piece in rest() {
                // SAFETY: the piece is in the guest's memory, which is mapped as long as the count is not zero.
                let lent = unsafe { io.frames.lend(piece.at, piece.len as usize, open) };
                let Some(lent) = lent else {
                    self.loans.forgo(left);
                    io.discard(frame, DropReason::NoFrame);
                    return Ok(Taken::Broken);
                };
                left -= 1;
                // No longer than the longest: seen above.
                if let Err(lent) = frame.append(lent) {
                    io.frames.recycle(lent);
                }
            }
        }
        match vnet::decode(&header, len) {
            Ok(offload) => frame.set_offload(offload),
            Err(reason) => {
                io.discard(frame, reason);
                return Ok(Taken::Broken);
            }
        }
        Ok(Taken::Frame(frame))
    }
}

/// What became of a chain.
enum Taken {
    Frame(Frame),
    /// It was no frame, and is counted.
    Broken,
    /// There is no buffer for it.
    NoBuffer,
}

/// Reads the pieces of a chain from front to back.
struct Reader<'a> {
    pieces: &'a [Piece],
    /// In the first of them.
    at: usize,
}

impl<'a> Reader<'a> {
    /// Fills `to`; there must be as much.
    #[inline]
    fn copy(&mut self, mut to: &mut [u8]) {
        while let (Some(piece), false) = (self.pieces.first(), to.is_empty()) {
            let n = to.len().min(piece.len as usize - self.at);
            // SAFETY: inside a piece that is mapped; the frame's buffer is ours. What the guest writes meanwhile
            // makes the copy mixed, not more.
            unsafe { piece.at.add(self.at).as_ptr().copy_to_nonoverlapping(to.as_mut_ptr(), n) };
            to = &mut to[n..];
            self.at += n;
            if self.at == piece.len as usize {
                self.pieces = &self.pieces[1..];
                self.at = 0;
            }
        }
    }

    /// What was not read.
    fn rest(&self) -> impl Iterator<Item = Piece> + use<'a> {
        let mut at = self.at;
        self.pieces.iter().map(move |piece| {
            let skip = std::mem::take(&mut at);
            // SAFETY: less than the piece's length.
            let at = unsafe { piece.at.add(skip) };
            Piece { at, guest: piece.guest + skip as u64, len: piece.len - skip as u32 }
        })
    }
}
