//! A wire between two open ports, and the traffic of two real network stacks over it.
#![allow(dead_code, unsafe_code)] // each test binary uses a part of it

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use vsw_mem::{Batch, Frame, FramePool, GsoKind, PoolSize};
use vsw_port::{Io, OpenPort, PortQueue};
use vsw_port_os::netns;

pub(crate) fn pool() -> &'static FramePool {
    FramePool::leak(PoolSize { small: 1024, large: 128 }).unwrap()
}

/// What went over a wire.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) frames: usize,
    /// Bytes of the longest frame.
    pub(crate) longest: usize,
    pub(crate) gso: Vec<GsoKind>,
    /// Queues that anything came from.
    pub(crate) queues: Vec<usize>,
    /// Frames left behind, or that died on the way.
    pub(crate) lost: u32,
}

impl Seen {
    fn note(&mut self, queue: usize, frame: &Frame) {
        self.frames += 1;
        self.longest = self.longest.max(frame.len());
        if !self.queues.contains(&queue) {
            self.queues.push(queue);
        }
        if let Some(gso) = frame.offload().gso
            && !self.gso.contains(&gso.kind)
        {
            self.gso.push(gso.kind);
        }
    }
}

/// Receives from all queues until a frame satisfies `want`, five seconds at most.
pub(crate) fn catch(
    queues: &mut [Box<dyn PortQueue>],
    io: &mut Io,
    mut want: impl FnMut(&Frame) -> bool,
) -> Option<Frame> {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        for queue in &mut *queues {
            let mut batch = Batch::new();
            queue.recv(&mut batch, io).unwrap();
            queue.flush(io);
            for frame in batch {
                if want(&frame) {
                    return Some(frame);
                }
                io.frames.recycle(frame);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// All that came by now and satisfies `want`.
pub(crate) fn caught(queues: &mut [Box<dyn PortQueue>], io: &mut Io, want: impl Fn(&Frame) -> bool) -> usize {
    std::thread::sleep(Duration::from_millis(50));
    let mut n = 0;
    for queue in queues {
        let mut batch = Batch::new();
        queue.recv(&mut batch, io).unwrap();
        n += batch.iter().filter(|f| want(f)).count();
        batch.into_iter().for_each(|f| io.frames.recycle(f));
    }
    n
}

fn carry(from: &mut OpenPort, to: &mut OpenPort, io: &mut Io, seen: &mut Seen) -> bool {
    let mut any = false;
    for i in 0..from.queues.len() {
        let mut batch = Batch::new();
        from.queues[i].recv(&mut batch, io).unwrap();
        any |= !batch.is_empty();
        batch.iter().for_each(|frame| seen.note(i, frame));
        let out = i % to.queues.len();
        to.queues[out].send(&mut batch, io).unwrap();
        to.queues[out].flush(io);
        from.queues[i].flush(io);
        seen.lost += batch.len() as u32 + io.take_tally().map_or(0, |t| t.iter().sum());
        batch.into_iter().for_each(|f| io.frames.recycle(f));
    }
    any
}

/// Connects two ports for as long as `f` runs. What went from the first to the second, and back.
pub(crate) fn wire(a: &mut OpenPort, b: &mut OpenPort, f: impl FnOnce() + Send) -> (Seen, Seen) {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    let (mut there, mut back) = (Seen::default(), Seen::default());
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let _done = Done(&done);
            f();
        });
        let mut io = Io::new(pool());
        let end = Instant::now() + Duration::from_secs(20);
        while !done.load(Relaxed) && Instant::now() < end {
            let there = carry(a, b, &mut io, &mut there);
            if !(carry(b, a, &mut io, &mut back) || there) {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        traffic.join().unwrap();
    });
    (there, back)
}

/// Sends megabytes by TCP from one namespace to `address` in another; they must arrive as sent.
pub(crate) fn tcp(from: &Path, to: &Path, address: &str) {
    const BYTES: usize = 8_000_000;
    let listener = netns::run_in(to, || TcpListener::bind((address, 5001))).unwrap().unwrap();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let mut stream = accept(&listener);
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        let remote = std::net::SocketAddr::new(address.parse().unwrap(), 5001);
        let connect = || TcpStream::connect_timeout(&remote, Duration::from_secs(10));
        let mut stream = netns::run_in(from, connect).unwrap().unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let data: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
        stream.write_all(&data).unwrap();
        drop(stream);
        assert!(server.join().unwrap() == data, "every byte as it was sent");
    });
}

/// The next connection, ten seconds at most.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            return stream;
        }
        assert!(Instant::now() < end, "nobody connected");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends one train of ten datagrams (UDP_SEGMENT) to `address`.
pub(crate) fn udp_train(from: &Path, address: &str) {
    let any = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = netns::run_in(from, || UdpSocket::bind(any)).unwrap().unwrap();
    let size = 1400_i32;
    // SAFETY: UDP_SEGMENT reads one int.
    let r = unsafe {
        let fd = socket.as_raw_fd();
        libc::setsockopt(fd, libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const size).cast(), 4)
    };
    assert_eq!(r, 0);
    socket.send_to(&[7; 14_000], (address, 5002)).unwrap();
}

/// Receives such a train: ten datagrams of 1400 bytes.
pub(crate) fn udp_listener(to: &Path, address: &str) -> UdpSocket {
    let socket = netns::run_in(to, || UdpSocket::bind((address, 5002))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

pub(crate) fn expect_train(socket: &UdpSocket) {
    let mut buffer = [0; 2000];
    for i in 0..10 {
        let n = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("datagram {i}: {e}"));
        assert!(n == 1400 && buffer[..n] == [7; 1400]);
    }
}

/// An Ethernet frame with that destination and type.
pub(crate) fn ethernet(io: &mut Io, destination: [u8; 6], ethertype: [u8; 2], payload: &[u8]) -> Frame {
    let mut bytes = destination.to_vec();
    bytes.extend([2, 0, 0, 0, 0, 0x99]);
    bytes.extend(ethertype);
    bytes.extend(payload);
    let mut frame = io.frames.take().unwrap();
    frame.fill(&bytes).unwrap();
    frame
}
