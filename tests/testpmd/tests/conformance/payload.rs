//! UDP between two machines, every byte compared.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use vsw_netns::Namespace;
use vsw_netns::traffic::{addresses, pings};

/// Headers of Ethernet, IPv4 and UDP.
const HEADERS: usize = 14 + 20 + 8;
const CHECK_SEQUENCE: usize = 4;

/// Sockets on each side, so that there is something to spread over queues.
const FLOWS: usize = 8;

/// Datagrams and bytes on their way at most: neither a queue nor a socket's buffer can overflow.
const WINDOW: usize = 32;
const WINDOW_BYTES: usize = 48 * 1024;

/// Sends one datagram of each frame length from the machine with number 1 to that with number 2 and back.
/// Lengths count the frame check sequence. All must arrive as they were.
#[track_caller]
pub(crate) fn datagrams(
    one: &Namespace,
    two: &Namespace,
    lengths: impl Iterator<Item = usize> + Clone,
    what: &str,
) {
    pings(one, &format!("-c 1 -w 10 {}", addresses(2)[0].ip()));
    let [here, there] = [(one, 1), (two, 2)].map(|(machine, n)| machine.inside(|| sockets(n)));
    for (from, to) in [(&here, &there), (&there, &here)] {
        let mut waiting: Vec<(usize, u64, usize)> = Vec::new();
        for (i, length) in lengths.clone().enumerate() {
            let bytes = length - HEADERS - CHECK_SEQUENCE;
            let in_flight: usize = waiting.iter().map(|w| w.2).sum();
            if waiting.len() == WINDOW || in_flight + bytes > WINDOW_BYTES {
                receive(to, &mut waiting, what);
            }
            let (flow, seed) = (i % FLOWS, i as u64 + 1);
            let peer = to[flow].local_addr().expect("it is bound");
            from[flow].send_to(&text(seed, bytes), peer).expect("it is sent");
            waiting.push((flow, seed, bytes));
        }
        receive(to, &mut waiting, what);
    }
}

fn sockets(n: u8) -> Vec<UdpSocket> {
    let bind = |_| {
        let socket = UdpSocket::bind(SocketAddr::new(addresses(n)[0].ip(), 0)).expect("it has its address");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a live socket");
        socket
    };
    (0..FLOWS).map(bind).collect()
}

/// Each flow keeps its order.
#[track_caller]
fn receive(to: &[UdpSocket], waiting: &mut Vec<(usize, u64, usize)>, what: &str) {
    let mut buffer = vec![0; 10_000];
    for (flow, seed, bytes) in waiting.drain(..) {
        let length = bytes + HEADERS + CHECK_SEQUENCE;
        let got = to[flow].recv(&mut buffer);
        let n = got.unwrap_or_else(|e| panic!("{what}: a frame of {length} bytes is lost: {e}"));
        let wanted = text(seed, bytes);
        if buffer[..n] != wanted {
            let at = wanted.iter().zip(&buffer[..n]).position(|(a, b)| a != b);
            panic!(
                "{what}: a frame of {length} bytes came with {n} bytes of {bytes}, wrong from byte {at:?} on"
            );
        }
    }
}

/// So many bytes that look like nothing (xorshift, Marsaglia 2003).
fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        Some(x.to_le_bytes())
    };
    std::iter::from_fn(word).flatten().take(bytes).collect()
}
