//! Two kernels talk TCP through two AF_XDP ports, as two containers do through the switch. Needs root.
#![allow(unsafe_code)] // raw sockets

mod lab;

use lab::{Lab, pool, spec, wait_for};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use vsw_mem::{Batch, Csum, Frame, Offload};
use vsw_port::{Driver, Io, OpenPort, PortSpec};

const BYTES: usize = 2_000_000;

/// What the switch does for a port that cannot finish checksums (RFC 1071).
fn finish(frame: &mut Frame) {
    let Csum::Partial { start, offset } = frame.offload().csum else { return };
    let (start, at) = (usize::from(start), usize::from(start + offset));
    let words = frame.bytes()[start..].chunks(2);
    let mut sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame.bytes_mut()[at..at + 2].copy_from_slice(&(!sum as u16).to_be_bytes());
    frame.set_offload(Offload::NONE);
}

/// Carries frames from `a` to `b`; the longest.
fn carry(a: &mut OpenPort, b: &mut OpenPort, io: &mut Io) -> usize {
    let mut batch = Batch::new();
    a.queues[0].recv(&mut batch, io).unwrap();
    batch.iter_mut().for_each(finish);
    let longest = batch.iter().map(Frame::len).max().unwrap_or(0);
    b.queues[0].send(&mut batch, io).unwrap();
    batch.drain(..).for_each(|f| io.frames.recycle(f));
    a.queues[0].flush(io);
    b.queues[0].flush(io);
    longest
}

#[test]
fn tcp_passes_between_two_kernels() {
    let name = "tcp_passes_between_two_kernels";
    let Some(lab) = Lab::new(name) else { return };
    let (left, right) = (Lab::new(name).unwrap(), Lab::new(name).unwrap());
    for (port, far, address) in [("a0", &left, "10.9.9.1/24"), ("b0", &right, "10.9.9.2/24")] {
        lab.ip(&format!("link add {port} type veth peer name eth0 netns {}", far.name()));
        lab.ip(&format!("link set dev {port} addrgenmode none up"));
        far.ip(&format!("address add {address} dev eth0"));
        far.ip("link set dev eth0 up");
    }
    let listener = right.inside(|| TcpListener::bind("10.9.9.2:7000").unwrap());
    listener.set_nonblocking(true).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let relay = scope.spawn(|| {
            lab.inside(|| {
                let pool = pool();
                let mut io = Io::new(pool);
                let open = |port| lab.driver().open(&PortSpec { ..spec(port) }, pool).unwrap();
                let (mut a, mut b) = (open("a0"), open("b0"));
                let end = Instant::now() + Duration::from_secs(20);
                let mut longest = 0;
                while !done.load(Relaxed) && Instant::now() < end {
                    longest = longest.max(carry(&mut a, &mut b, &mut io)).max(carry(&mut b, &mut a, &mut io));
                }
                longest
            })
        });
        let sender = scope.spawn(|| {
            let mut stream = left.inside(|| {
                let address = "10.9.9.2:7000".parse().unwrap();
                TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap()
            });
            let bytes: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
            stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let (mut stream, _) = wait_for("the connection", || listener.accept().ok());
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        sender.join().unwrap();
        done.store(true, Relaxed);
        assert_eq!(bytes.len(), BYTES);
        assert!(bytes.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8));
        assert_eq!(
            relay.join().unwrap(),
            1514,
            "cut to the MTU by the sender, not a segmentation offload frame"
        );
    });
}
