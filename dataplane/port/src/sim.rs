//! A port made of two queues in memory: the switch's own test instrument.
//!
//! The far end is a [`SimPeer`]. Shared between threads behind a lock; nothing here is for speed.

use crate::{Device, Health, Io, OpenPort, PortCaps, PortError, PortInfo, PortQueue, PortSpec};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vsw_mem::{BATCH, Batch, Frame, FrameCache, Offload, SMALL_DATA};
use vsw_types::DropReason;

/// A frame outside the switch: its bytes, and what is to be done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFrame {
    pub bytes: Vec<u8>,
    pub offload: Offload,
}

impl From<&[u8]> for SimFrame {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), offload: Offload::NONE }
    }
}

/// The far end of a simulated port: what a VM or a wire would be.
#[derive(Clone, Debug, Default)]
pub struct SimPeer(Arc<Mutex<Wire>>);

#[derive(Debug, Default)]
struct Wire {
    to_switch: VecDeque<SimFrame>,
    from_switch: VecDeque<SimFrame>,
    /// Frames the far end accepts before its queue is full; `None`: any number.
    credit: Option<usize>,
    /// The device breaks at the next call.
    broken: bool,
}

impl SimPeer {
    /// A port of one queue that can do what `caps` says.
    pub fn open(caps: PortCaps) -> (Self, OpenPort) {
        Self::open_queues(caps, 1)
    }
    /// The same with several queues. Who asks first gets what was sent.
    pub fn open_queues(caps: PortCaps, count: usize) -> (Self, OpenPort) {
        let peer = Self::default();
        let queue = |_| Box::new(SimQueue(peer.clone())) as Box<dyn PortQueue>;
        let queues = (0..count).map(queue).collect();
        let device = Box::new(SimDevice(peer.clone(), caps));
        (peer, OpenPort { device, queues })
    }
    /// Sends to the switch.
    pub fn put(&self, frame: impl Into<SimFrame>) {
        self.wire().to_switch.push_back(frame.into());
    }
    /// Receives from the switch.
    pub fn take(&self) -> Option<SimFrame> {
        self.wire().from_switch.pop_front()
    }
    /// From now on only so many more.
    pub fn accept_only(&self, frames: usize) {
        self.wire().credit = Some(frames);
    }
    /// Pulls the plug.
    pub fn break_device(&self) {
        self.wire().broken = true;
    }
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SimDevice(SimPeer, PortCaps);

impl Device for SimDevice {
    fn info(&self) -> PortInfo {
        PortInfo { mode: "in memory".into(), mac: None, mtu: 1500, caps: self.1 }
    }
    fn health(&mut self) -> Health {
        if self.0.wire().broken { Health::Lost(broken()) } else { Health::Up }
    }
    fn configure(&mut self, _: &PortSpec) -> Result<(), PortError> {
        Ok(())
    }
}

fn broken() -> PortError {
    PortError::missing("the simulated device broke", "plug it in again")
}

struct SimQueue(SimPeer);

impl PortQueue for SimQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        let mut wire = self.0.wire();
        if wire.broken {
            return Err(broken());
        }
        while into.len() < BATCH {
            let Some(data) = wire.to_switch.pop_front() else { break };
            match load(&data, &mut io.frames) {
                Some(frame) => into.push(frame),
                None => io.count(DropReason::NoFrame, 1),
            }
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        let mut wire = self.0.wire();
        if wire.broken {
            return Err(broken());
        }
        let n = wire.credit.map_or(from.len(), |c| c.min(from.len()));
        if let Some(c) = &mut wire.credit {
            *c -= n;
        }
        for frame in from.drain(..n) {
            wire.from_switch.push_back(SimFrame {
                bytes: frame.segments().flatten().copied().collect(),
                offload: frame.offload(),
            });
            io.frames.recycle(frame);
        }
        Ok(())
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Bytes into buffers, as a driver lays them: a small one first, the rest in a large one. `None` when
/// there are no buffers or the frame is longer than a frame can be.
pub fn load(data: &SimFrame, frames: &mut FrameCache) -> Option<Frame> {
    let (head, tail) = data.bytes.split_at(data.bytes.len().min(SMALL_DATA));
    let mut frame = frames.take()?;
    frame.fill(head).ok()?;
    if !tail.is_empty() {
        let mut rest = frames.take_large()?;
        rest.fill(tail).ok()?;
        frame.append(rest).ok()?;
    }
    frame.set_offload(data.offload);
    Some(frame)
}
