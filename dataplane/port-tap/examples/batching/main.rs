//! Ways to move frames between a TAP device and user space, compared.
//!
//! `cargo run --release -p vsw-port-tap --example batching [ROUNDS [DEPTH]]`, as root. What is timed, and
//! how, is told in `bench`. Every variant has a TAP in a network namespace of its own, opened as the port
//! opens it. What is received was put into the device's queue by a packet socket; what is sent is dropped
//! by a tcx program at the entrance of the stack, in the sender's system call, the same for all.
#![allow(unsafe_code)] // system calls that no safe library has

// Shared with the evaluation of packet sockets.
#[path = "../../../port-packet/examples/batching/bench.rs"]
mod bench;
#[path = "../../../port-packet/examples/batching/frames.rs"]
mod frames;
mod multishot;
#[path = "../../../port-packet/examples/batching/socket.rs"]
mod socket;
#[path = "../../../port-packet/examples/batching/uring.rs"]
mod uring;

use bench::{BATCH, Group, Step, Variant};
use frames::{Frame, Layout, Slots, same, whole};
use io_uring::{opcode, squeue};
use multishot::Multishot;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use uring::Uring;
use vsw_port::vnet;
use vsw_port_os::link::{Links, ifreq};
use vsw_port_os::tc::{IngressDrop, Method, drop_ingress};

const NAME: &str = "near";

/// A TAP; what its host's stack receives is dropped as long as this lives.
struct Tap {
    fd: OwnedFd,
    index: u32,
    _drop: IngressDrop,
}

impl Tap {
    /// With room for `depth` frames in its queue.
    fn new(depth: usize) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
        let mut request = ifreq(NAME).ok_or(io::ErrorKind::InvalidInput)?;
        request.ifr_ifru.ifru_flags = flags as i16;
        let size = vnet::LEN as i32;
        let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
        let raw = fd.as_raw_fd();
        // SAFETY: TUNSETIFF reads and writes one `ifreq`; TUNSETVNETHDRSZ reads one int; TUNSETOFFLOAD takes
        // a number.
        let failed = unsafe {
            libc::ioctl(raw, libc::TUNSETIFF as _, &mut request) < 0
                || libc::ioctl(raw, libc::TUNSETVNETHDRSZ as _, &size) < 0
                || libc::ioctl(raw, libc::TUNSETOFFLOAD as _, offloads as libc::c_ulong) < 0
        };
        if failed {
            return Err(io::Error::last_os_error());
        }
        let links = Links::open()?;
        links.set_tx_queue_len(NAME, depth as u32)?;
        links.set_up(NAME)?;
        let index = links.by_name(NAME)?.index;
        Ok(Self { fd, index, _drop: drop_ingress(index, Method::Best)? })
    }

    /// A variant that receives frames by `run`, which gets the descriptor.
    fn receiver(
        self,
        frame: &Frame,
        mut run: impl FnMut(&OwnedFd, usize) -> io::Result<()> + 'static,
    ) -> io::Result<Variant> {
        let fill = socket::filler(self.index, frame)?;
        Ok(Variant { fill: Some(fill), run: Box::new(move |frames| run(&self.fd, frames)) })
    }

    /// A variant that sends frames by `run`, after a look at what it sends.
    fn sender(
        self,
        frame: &Frame,
        mut run: impl FnMut(&OwnedFd, usize) -> io::Result<()> + 'static,
    ) -> io::Result<Variant> {
        let index = self.index;
        let mut run: Step = Box::new(move |frames| run(&self.fd, frames));
        socket::check_sender(index, frame, &mut run)?;
        Ok(Variant { fill: None, run })
    }
}

/// One system call a frame.
fn receive_each(frame: &Frame, layout: Layout, depth: usize) -> io::Result<Variant> {
    let mut slots = Slots::new(frame, vnet::LEN, layout, true);
    Tap::new(depth)?.receiver(frame, move |fd, frames| {
        if frames == 0 {
            return slots.check();
        }
        for i in 0..frames {
            let len = slots.len;
            let got = match slots.iovecs(i) {
                // As a port would do where there is one.
                // SAFETY: the kernel writes at most `iov_len` bytes to memory of ours.
                [one] => unsafe { libc::read(fd.as_raw_fd(), one.iov_base, one.iov_len) },
                // SAFETY: as above, for each of them.
                all => unsafe { libc::readv(fd.as_raw_fd(), all.as_ptr(), all.len() as i32) },
            };
            whole(got, len)?;
        }
        Ok(())
    })
}

/// Reads into a buffer for frames of any length, and copies the beginning to a small one. Only a frame that
/// is longer needs another buffer for the next.
fn receive_large(frame: &Frame, depth: usize) -> io::Result<Variant> {
    const SMALL: usize = vnet::LEN + vsw_mem::SMALL_DATA;
    let mut large = vec![vec![0_u8; vnet::LEN + vsw_mem::MAX_FRAME]; BATCH];
    let mut small = vec![[0_u8; SMALL]; BATCH];
    let expected = [&frame.header[..], &frame.bytes].concat();
    Tap::new(depth)?.receiver(frame, move |fd, frames| {
        if frames == 0 {
            let (head, rest) = expected.split_at(expected.len().min(SMALL));
            small.iter().try_for_each(|s| same(&s[..head.len()], head))?;
            return same(&large[0][head.len()..expected.len()], rest);
        }
        let mut at = 0;
        for i in 0..frames {
            let n = rustix::io::read(fd, &mut large[at])?;
            whole(n as isize, expected.len())?;
            let head = n.min(SMALL);
            small[i % BATCH][..head].copy_from_slice(&large[at][..head]);
            if n > head {
                at = (at + 1) % BATCH;
            }
        }
        Ok(())
    })
}

/// One system call a frame; the port has a descriptor that does not wait.
fn send_each(frame: &Frame, layout: Layout, waits: bool, depth: usize) -> io::Result<Variant> {
    let mut slots = Slots::new(frame, vnet::LEN, layout, false);
    let tap = Tap::new(depth)?;
    if waits {
        may_wait(&tap.fd)?;
    }
    tap.sender(frame, move |fd, frames| {
        for i in 0..frames {
            let len = slots.len;
            let sent = match slots.iovecs(i) {
                // SAFETY: the kernel reads `iov_len` bytes of ours.
                [one] => unsafe { libc::write(fd.as_raw_fd(), one.iov_base, one.iov_len) },
                // SAFETY: as above, for each of them.
                all => unsafe { libc::writev(fd.as_raw_fd(), all.as_ptr(), all.len() as i32) },
            };
            whole(sent, len)?;
        }
        Ok(())
    })
}

/// Clears O_NONBLOCK.
fn may_wait(fd: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags - OFlags::NONBLOCK)?)
}

/// What the kernel knows beforehand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    File,
    FileAndMemory,
}

/// A batch of requests for each of which `slots` has the buffers.
struct Requests {
    uring: Uring,
    entries: Vec<squeue::Entry>,
    /// What the requests point to.
    slots: Slots,
}

impl Requests {
    fn new(fd: &OwnedFd, mut slots: Slots, receive: bool, known: Known) -> io::Result<Self> {
        let uring = Uring::new(fd, BATCH as u32, known != Known::Nothing)?;
        let fixed = known == Known::FileAndMemory;
        if fixed {
            let start = slots.iovecs(0)[0].iov_base;
            let end =
                slots.iovecs(BATCH - 1).last().map_or(start, |v| v.iov_base.wrapping_byte_add(v.iov_len));
            let memory = libc::iovec { iov_base: start, iov_len: end.addr() - start.addr() };
            // SAFETY: one piece of memory, which lives as long as the ring, beside it.
            unsafe { uring.ring.submitter().register_buffers(&[memory]) }?;
        }
        let fd = uring.fd();
        let entry = |i| {
            let iovecs = slots.iovecs(i);
            let (list, count) = (iovecs.as_ptr(), iovecs.len() as u32);
            let (at, len) = (iovecs[0].iov_base.cast::<u8>(), iovecs[0].iov_len as u32);
            uring.entry(match (receive, count > 1, fixed) {
                (true, false, false) => opcode::Read::new(fd, at, len).build(),
                (true, false, true) => opcode::ReadFixed::new(fd, at, len, 0).build(),
                (true, true, false) => opcode::Readv::new(fd, list, count).build(),
                (true, true, true) => opcode::ReadvFixed::new(fd, list, count, 0).build(),
                (false, false, false) => opcode::Write::new(fd, at, len).build(),
                (false, false, true) => opcode::WriteFixed::new(fd, at, len, 0).build(),
                (false, true, false) => opcode::Writev::new(fd, list, count).build(),
                (false, true, true) => opcode::WritevFixed::new(fd, list, count, 0).build(),
            })
        };
        let entries = (0..BATCH).map(entry).collect();
        Ok(Self { uring, entries, slots })
    }

    fn run(&mut self, frames: usize) -> io::Result<()> {
        for _ in 0..frames / BATCH {
            // SAFETY: the entries point into `slots`, which stay.
            unsafe { self.uring.run(&self.entries, self.slots.len) }?;
        }
        Ok(())
    }
}

fn receive_batch(frame: &Frame, layout: Layout, known: Known, depth: usize) -> io::Result<Variant> {
    let tap = Tap::new(depth)?;
    let slots = Slots::new(frame, vnet::LEN, layout, true);
    let mut requests = Requests::new(&tap.fd, slots, true, known)?;
    tap.receiver(
        frame,
        move |_, frames| {
            if frames == 0 { requests.slots.check() } else { requests.run(frames) }
        },
    )
}

fn send_batch(frame: &Frame, layout: Layout, known: Known, depth: usize) -> io::Result<Variant> {
    let tap = Tap::new(depth)?;
    let slots = Slots::new(frame, vnet::LEN, layout, false);
    let mut requests = Requests::new(&tap.fd, slots, false, known)?;
    tap.sender(frame, move |_, frames| requests.run(frames))
}

fn receive_multishot(frame: &Frame, depth: usize) -> io::Result<Variant> {
    let tap = Tap::new(depth)?;
    // Where the descriptor answers "not yet", a multishot read ends.
    may_wait(&tap.fd)?;
    let mut multishot = Multishot::new(&tap.fd, frame)?;
    tap.receiver(frame, move |_, frames| match frames {
        0 => multishot.check(),
        frames => multishot.receive(frames),
    })
}

fn main() -> io::Result<()> {
    let (rounds, depth) = bench::arguments();
    println!("TAP with virtio-net headers of 12 bytes. {}", bench::TIMED);
    for (what, frame, depth) in Frame::all(depth) {
        let f = &frame;
        use Known::{File, FileAndMemory, Nothing};
        use Layout::{Apart, Headroom, One};
        let mut group = Group::new(format!("Receive, {what}"), depth);
        group.add("readv: header, small, large (port-tap, long)", || receive_each(f, Apart, depth));
        group.add("readv: header in headroom of small, large", || receive_each(f, Headroom, depth));
        group.add("read: one buffer", || receive_each(f, One, depth));
        group.add("read: one large buffer, head copied out (port-tap, short)", || receive_large(f, depth));
        group.add("io_uring read x 32", || receive_batch(f, One, Nothing, depth));
        group.add("io_uring read x 32, file known", || receive_batch(f, One, File, depth));
        group.add("io_uring read x 32, file, memory known", || receive_batch(f, One, FileAndMemory, depth));
        group.add("io_uring readv x 32: header in headroom, file known", || {
            receive_batch(f, Headroom, File, depth)
        });
        group.add("io_uring multishot read, file known", || receive_multishot(f, depth));
        group.measure(rounds)?;

        let mut group = Group::new(format!("Send, {what}"), depth);
        group.add("writev: header, frame", || send_each(f, Apart, false, depth));
        group.add("writev: header in headroom (port-tap, chains)", || send_each(f, Headroom, false, depth));
        group.add("write: one buffer (port-tap)", || send_each(f, One, false, depth));
        group.add("write: one buffer, without O_NONBLOCK", || send_each(f, One, true, depth));
        group.add("io_uring write x 32", || send_batch(f, One, Nothing, depth));
        group.add("io_uring write x 32, file known", || send_batch(f, One, File, depth));
        group.add("io_uring write x 32, file, memory known", || send_batch(f, One, FileAndMemory, depth));
        group.add("io_uring writev x 32: header in headroom, file known", || {
            send_batch(f, Headroom, File, depth)
        });
        group.measure(rounds)?;
    }
    Ok(())
}
