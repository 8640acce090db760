//! Ways to move frames between a packet socket on a veth and user space, compared.
//!
//! `cargo run --release -p vsw-port-packet --example batching [ROUNDS [DEPTH]]`, as root, with iproute2.
//! What is timed, and how, is told in `bench`. Every variant has a veth pair in a network namespace of its own.
//! Both ends drop what they receive by a tcx program behind the sockets, as the port does it: a frame that
//! is sent runs through the veth and up to that program in the sender's system call, the same for all.
#![allow(unsafe_code)] // system calls that no safe library has

mod bench;
mod frames;
mod ring;
mod socket;
mod uring;

use bench::{BATCH, Group, Variant};
use frames::{Frame, Layout};
use io_uring::{opcode, squeue};
use ring::{PACKET_COPY_THRESH, RETIRE_MS, Received, Ring, Version};
use socket::{Messages, PACKET_QDISC_BYPASS};
use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};
use uring::Uring;
use vsw_port::vnet;
use vsw_port_os::link::Links;
use vsw_port_os::tc::{IngressDrop, Method, drop_ingress};

const HEADER: usize = vnet::LEN_LEGACY;

/// A veth pair; what its ends receive is dropped as long as this lives.
struct Veth {
    near: u32,
    far: u32,
    _drop: [IngressDrop; 2],
}

impl Veth {
    fn new() -> io::Result<Self> {
        let status = Command::new("ip").args("link add near type veth peer name far".split(' ')).status()?;
        if !status.success() {
            return Err(io::Error::other("`ip link add` cannot make a veth pair"));
        }
        let links = Links::open()?;
        let index = |name| links.set_up(name).and_then(|()| links.by_name(name)).map(|link| link.index);
        let (near, far) = (index("near")?, index("far")?);
        let drop = [drop_ingress(near, Method::Best)?, drop_ingress(far, Method::Best)?];
        Ok(Self { near, far, _drop: drop })
    }

    /// A socket at the near end.
    fn socket(&self, vnet: bool) -> io::Result<OwnedFd> {
        let socket = socket::open(vnet)?;
        socket::bind(&socket, self.near, true)?;
        Ok(socket)
    }

    /// A variant that receives at the near end what is sent from the far end.
    fn receiver(
        self,
        frame: &Frame,
        mut run: impl FnMut(usize) -> io::Result<()> + 'static,
    ) -> io::Result<Variant> {
        let fill = socket::filler(self.far, frame)?;
        let run = move |frames| {
            let _alive = &self;
            run(frames)
        };
        Ok(Variant { fill: Some(fill), run: Box::new(run) })
    }

    /// A variant that sends from the near end, after a look at what it sends.
    fn sender(
        self,
        frame: &Frame,
        mut run: impl FnMut(usize) -> io::Result<()> + 'static,
    ) -> io::Result<Variant> {
        let far = self.far;
        let mut run: bench::Step = Box::new(move |frames| {
            let _alive = &self;
            run(frames)
        });
        socket::check_sender(far, frame, &mut run)?;
        Ok(Variant { fill: None, run })
    }
}

fn recvmmsg(frame: &Frame, header_len: usize, layout: Layout) -> io::Result<Variant> {
    let veth = Veth::new()?;
    let socket = veth.socket(header_len > 0)?;
    let mut messages = Messages::new(frame, header_len, layout, true);
    veth.receiver(frame, move |frames| {
        if frames == 0 {
            return messages.slots.check();
        }
        (0..frames / BATCH).try_for_each(|_| messages.receive(&socket))
    })
}

fn uring_receive(frame: &Frame) -> io::Result<Variant> {
    let veth = Veth::new()?;
    let socket = veth.socket(true)?;
    let mut messages = Messages::new(frame, HEADER, Layout::Headroom, true);
    let mut uring = Uring::new(&socket, BATCH as u32, true)?;
    veth.receiver(frame, move |frames| {
        let _alive = &socket;
        if frames == 0 {
            return messages.slots.check();
        }
        for _ in 0..frames / BATCH {
            let flags = libc::MSG_DONTWAIT as u32;
            let one = |i| opcode::RecvMsg::new(uring.fd(), messages.prepare(i)).flags(flags).build();
            let entries: [squeue::Entry; BATCH] = std::array::from_fn(one).map(|e| uring.entry(e));
            // SAFETY: messages and buffers stay where they are until all requests are done.
            unsafe { uring.run(&entries, messages.slots.len) }?;
        }
        Ok(())
    })
}

fn ring_receive(frame: &Frame, version: Version, vnet: bool) -> io::Result<Variant> {
    let veth = Veth::new()?;
    let size = match (version, frame.is_small()) {
        (Version::V2, true) => (2048, 4096),
        (Version::V2, false) => (128 << 10, 64),
        (Version::V3, true) => (64 << 10, 64),
        (Version::V3, false) => (1 << 20, 8),
    };
    let socket = socket::open(vnet)?;
    let mut ring = Ring::new(&socket, version, false, size, vnet)?;
    socket::bind(&socket, veth.near, true)?;
    let mut to = Received::new(frame);
    let run = move |frames| {
        let _alive = &socket;
        match version {
            _ if frames == 0 => to.check(vnet),
            Version::V2 => ring.receive_v2(frames, &mut to),
            Version::V3 => ring.receive_v3(frames, &mut to),
        }
    };
    veth.receiver(frame, run)
}

/// Long frames through a ring of short slots: in full they wait in the socket, as ever.
fn short_slots(frame: &Frame) -> io::Result<Variant> {
    let veth = Veth::new()?;
    let socket = socket::open(true)?;
    socket::set(&socket, libc::SOL_PACKET, PACKET_COPY_THRESH, &1_i32)?;
    let mut ring = Ring::new(&socket, Version::V2, false, (2048, 4096), true)?;
    socket::bind(&socket, veth.near, true)?;
    let mut messages = Messages::new(frame, HEADER, Layout::Headroom, true);
    veth.receiver(frame, move |frames| {
        if frames == 0 {
            return messages.slots.check();
        }
        (0..frames / BATCH).try_for_each(|_| {
            ring.pass_copies(BATCH)?;
            messages.receive(&socket)
        })
    })
}

fn sendmmsg(frame: &Frame, layout: Layout, bypass: bool) -> io::Result<Variant> {
    let veth = Veth::new()?;
    let socket = veth.socket(true)?;
    socket::set(&socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, &i32::from(bypass))?;
    let mut messages = Messages::new(frame, HEADER, layout, false);
    veth.sender(frame, move |frames| (0..frames / BATCH).try_for_each(|_| messages.send(&socket)))
}

fn uring_send(frame: &Frame, bypass: bool) -> io::Result<Variant> {
    let veth = Veth::new()?;
    let socket = veth.socket(true)?;
    socket::set(&socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, &i32::from(bypass))?;
    let mut messages = Messages::new(frame, HEADER, Layout::Headroom, false);
    let mut uring = Uring::new(&socket, BATCH as u32, true)?;
    veth.sender(frame, move |frames| {
        let _alive = &socket;
        for _ in 0..frames / BATCH {
            let flags = libc::MSG_DONTWAIT as u32;
            let one = |i| opcode::SendMsg::new(uring.fd(), messages.prepare(i)).flags(flags).build();
            let entries: [squeue::Entry; BATCH] = std::array::from_fn(one).map(|e| uring.entry(e));
            // SAFETY: messages and buffers stay where they are until all requests are done.
            unsafe { uring.run(&entries, messages.slots.len) }?;
        }
        Ok(())
    })
}

fn ring_send(frame: &Frame, bypass: bool) -> io::Result<Variant> {
    let veth = Veth::new()?;
    let size = if frame.is_small() { (2048, 64) } else { (128 << 10, 64) };
    let socket = socket::open(true)?;
    socket::set(&socket, libc::SOL_PACKET, PACKET_QDISC_BYPASS, &i32::from(bypass))?;
    let mut ring = Ring::new(&socket, Version::V2, true, size, true)?;
    socket::bind(&socket, veth.near, true)?;
    let sent = frame.clone();
    veth.sender(frame, move |frames| (0..frames / BATCH).try_for_each(|_| ring.send(&socket, BATCH, &sent)))
}

/// Prints how long a batch takes from before it is sent until all of it is read, by busy waiting.
fn latency(name: &str, make: impl FnOnce(&Frame) -> io::Result<Variant>) -> io::Result<()> {
    let frame = Frame::plain(64);
    let mut variant = bench::alone(|| make(&frame))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        // So that blocks are handed over at any time of theirs.
        std::thread::sleep(Duration::from_micros(1300));
        let start = Instant::now();
        if let Some(fill) = &mut variant.fill {
            fill(BATCH)?;
        }
        (variant.run)(BATCH)?;
        times.push(start.elapsed());
    }
    times.sort();
    println!(
        "  {name:<54} median {:>8.0?}, longest {:>8.0?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    Ok(())
}

fn main() -> io::Result<()> {
    let (rounds, depth) = bench::arguments();
    // Version 3 hands a block over only when it is full or its time is over.
    let settled = |variant: io::Result<Variant>| {
        variant.map(|Variant { fill, run }| Variant {
            fill: fill.map(|mut fill| -> bench::Step {
                Box::new(move |frames| {
                    fill(frames)?;
                    std::thread::sleep(Duration::from_millis(5 + 2 * u64::from(RETIRE_MS)));
                    Ok(())
                })
            }),
            run,
        })
    };
    println!("Packet socket on a veth. {}", bench::TIMED);
    for (what, frame, depth) in Frame::all(depth) {
        use Layout::{Apart, Headroom, One};
        let f = &frame;
        let mut group = Group::new(format!("Receive, {what}"), depth);
        group.add("recvmmsg of 32: header, small, large (port-packet)", || recvmmsg(f, HEADER, Apart));
        group.add("recvmmsg of 32: header in headroom", || recvmmsg(f, HEADER, Headroom));
        group.add("recvmmsg of 32, without header", || recvmmsg(f, 0, Headroom));
        group.add("io_uring recvmsg x 32: header in headroom", || uring_receive(f));
        group.add("TPACKET_V2 ring", || ring_receive(f, Version::V2, true));
        group.add("TPACKET_V2 ring, without header", || ring_receive(f, Version::V2, false));
        group.add("TPACKET_V3 ring", || settled(ring_receive(f, Version::V3, true)));
        if !f.is_small() {
            group.add("TPACKET_V2 ring, 2 KiB slots, recvmmsg of 32", || short_slots(f));
        }
        group.measure(rounds)?;

        let mut group = Group::new(format!("Send, {what}"), depth);
        group.add("sendmmsg of 32: header, frame (port-packet)", || sendmmsg(f, Apart, false));
        group.add("sendmmsg of 32: header in headroom", || sendmmsg(f, Headroom, false));
        group.add("sendmmsg of 32: one buffer", || sendmmsg(f, One, false));
        group.add("sendmmsg of 32: one buffer, QDISC_BYPASS", || sendmmsg(f, One, true));
        group.add("io_uring sendmsg x 32: header in headroom", || uring_send(f, false));
        group.add("io_uring sendmsg x 32, QDISC_BYPASS", || uring_send(f, true));
        group.add("PACKET_TX_RING", || ring_send(f, false));
        group.add("PACKET_TX_RING, QDISC_BYPASS", || ring_send(f, true));
        group.measure(rounds)?;
    }
    println!("\nA batch of 32 frames, from before it is sent until it is read, busy waiting");
    latency("recvmmsg", |f| recvmmsg(f, HEADER, Layout::Apart))?;
    latency("TPACKET_V2 ring", |f| ring_receive(f, Version::V2, true))?;
    latency(&format!("TPACKET_V3 ring, retire after {RETIRE_MS} ms"), |f| ring_receive(f, Version::V3, true))
}
