//! What a queue works with: buffers, and a place to count what dies.

use vsw_mem::{Frame, FrameCache, FramePool, SMALL_DATA};
use vsw_types::DropReason;

/// A worker's buffers and its tally of frames that died in a driver's hands. Owned by one worker.
#[derive(Debug)]
pub struct Io {
    pub frames: FrameCache,
    tally: [u32; DropReason::COUNT],
    any: bool,
}

impl Io {
    pub fn new(pool: &'static FramePool) -> Self {
        Self { frames: FrameCache::new(pool), tally: [0; DropReason::COUNT], any: false }
    }

    /// The one way for a frame to die: it is counted and its buffers are free again.
    #[inline]
    pub fn discard(&mut self, frame: Frame, reason: DropReason) {
        self.frames.recycle(frame);
        self.count(reason, 1);
    }

    /// The frame of `len` bytes that were received into the room of `small` and, behind it, of `large`. A
    /// buffer that was not needed is free again. `None` if the frame is longer than a frame can be: then it
    /// is counted as over-long.
    #[inline]
    pub fn assemble(&mut self, mut small: Frame, mut large: Frame, len: usize) -> Option<Frame> {
        small.set_len(len.min(SMALL_DATA));
        if len <= SMALL_DATA {
            self.frames.recycle(large);
            return Some(small);
        }
        large.set_len(len - SMALL_DATA);
        match small.append(large) {
            Ok(()) => Some(small),
            Err(large) => {
                self.frames.recycle(large);
                self.discard(small, DropReason::OverLong);
                None
            }
        }
    }

    /// Counts frames that died before they got here (in a kernel queue).
    #[inline]
    pub fn count(&mut self, reason: DropReason, frames: u32) {
        self.tally[reason as usize] += frames;
        self.any = true;
    }

    /// What was counted since last asked; the tally starts anew. `None` in the usual case of nothing.
    #[inline]
    pub fn take_tally(&mut self) -> Option<[u32; DropReason::COUNT]> {
        if !self.any {
            return None;
        }
        self.any = false;
        Some(std::mem::replace(&mut self.tally, [0; DropReason::COUNT]))
    }
}
