//! What a queue works with: buffers, and a place to count what dies.

use vsw_mem::{Frame, FrameCache, FramePool};
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
