//! Pings and TCP transfers between machines.

use crate::Namespace;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// Longest silence in a transfer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Addresses of the machine with number `n`.
pub fn addresses(n: u8) -> [SocketAddr; 2] {
    let v6 =
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from_str_radix(&n.to_string(), 16).unwrap_or_default());
    [SocketAddr::from((Ipv4Addr::new(10, 0, 0, n), 0)), SocketAddr::from((v6, 0))]
}

/// Pings until an answer comes, a few seconds at most.
#[track_caller]
pub fn reaches(from: &Namespace, to: u8) {
    for address in addresses(to) {
        pings(from, &format!("-c 1 -w 10 {}", address.ip()));
    }
}

/// `ping` with these arguments must have its answer.
#[track_caller]
pub fn pings(from: &Namespace, arguments: &str) {
    let t = from.typed(&format!("ping -q {arguments}"));
    assert!(t.ok(), "{} cannot ping {arguments}: {}{}", from.name(), t.stdout, t.stderr);
}

/// Nobody answers.
#[track_caller]
pub fn cannot_reach(from: &Namespace, to: u8) {
    for address in addresses(to) {
        let t = from.typed(&format!("ping -q -c 2 -i 0.2 -W 1 {}", address.ip()));
        assert!(!t.ok(), "{} reaches {}: {}", from.name(), address.ip(), t.stdout);
        assert!(t.stdout.contains("100% packet loss"), "{}{}", t.stdout, t.stderr);
    }
}

/// Transfers so many bytes both ways at once over one connection, and compares what arrived.
#[track_caller]
pub fn transfer(client: &Namespace, server: &Namespace, to: SocketAddr, bytes: usize) {
    let (say, told) = mpsc::channel();
    let (up, down) = std::thread::scope(|scope| {
        let serve = scope.spawn(move || {
            server.inside(|| {
                let listener = TcpListener::bind(to).expect("it listens");
                say.send(listener.local_addr().expect("an address")).expect("somebody connects");
                let (stream, _) = listener.accept().expect("somebody connects");
                exchange(&stream, 2, bytes)
            })
        });
        let connect = move || {
            let at = told.recv().expect("an address");
            let stream = TcpStream::connect_timeout(&at, PATIENCE).expect("it is reached");
            exchange(&stream, 1, bytes)
        };
        let down = client.inside(connect);
        (serve.join().expect("the server ends well"), down)
    });
    assert_eq!(up, digest(1, bytes), "what the server got from {}", client.name());
    assert_eq!(down, digest(2, bytes), "what the client got from {}", server.name());
}

/// Sends one pseudo-random text and receives another; a digest of that.
fn exchange(stream: &TcpStream, seed: u64, bytes: usize) -> u64 {
    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a live socket");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut to = stream;
            text(seed, bytes, |part| to.write_all(part).expect("the other side reads"));
            to.shutdown(Shutdown::Write).expect("a live socket");
        });
        let (mut hasher, mut buffer, mut from) = (DefaultHasher::new(), vec![0; 64 * 1024], stream);
        loop {
            match from.read(&mut buffer).expect("the other side sends") {
                0 => break hasher.finish(),
                n => hasher.write(&buffer[..n]),
            }
        }
    })
}

fn digest(seed: u64, bytes: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    text(seed, bytes, |part| hasher.write(part));
    hasher.finish()
}

/// So many bytes, by parts (xorshift, Marsaglia 2003).
fn text(seed: u64, bytes: usize, mut each: impl FnMut(&[u8])) {
    let mut x = seed;
    let mut part = vec![0; 32 * 1024];
    let mut left = bytes;
    while left > 0 {
        for word in part.chunks_exact_mut(8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            word.copy_from_slice(&x.to_le_bytes());
        }
        let n = left.min(part.len());
        each(&part[..n]);
        left -= n;
    }
}
