//! Streams between two stations, and what arrives of them by time, as the application sees it.
//!
//! Thread-safety: each end of a stream has a thread of its own, which ends when the stream is dropped. Only
//! the receiving one writes to [`Arrivals`]; anybody may read.

use super::super::lab::Netns;
use crate::interrupt;
use anyhow::{Context, Result};
use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_tcp_congestion};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How finely time is looked at.
pub(super) const BUCKET: Duration = Duration::from_millis(10);
/// Half a minute: more than any of the measurements takes.
const BUCKETS: usize = 3_000;

/// Frames of full length over IPv4 with an MTU of 1500, as rates count them.
pub(super) const FRAME: f64 = 1514.0;
/// What TCP with timestamps carries in one.
pub(super) const TCP_PAYLOAD: f64 = 1448.0;
/// What UDP carries in one.
pub(super) const UDP_PAYLOAD: f64 = 1472.0;

/// How long a thread waits before it looks whether to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Payload that arrived.
pub(super) struct Arrivals {
    start: Instant,
    bytes: Vec<AtomicU64>,
    messages: AtomicU64,
    /// Nanoseconds: when the last came, and the longest time without.
    last: AtomicU64,
    gap: AtomicU64,
}

impl Arrivals {
    fn new() -> Arc<Self> {
        let bytes = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        let [messages, last, gap] = [0; 3].map(AtomicU64::new);
        Arc::new(Self { start: Instant::now(), bytes, messages, last, gap })
    }

    fn note(&self, bytes: usize) {
        let now = self.start.elapsed();
        let bucket = (now.as_nanos() / BUCKET.as_nanos()) as usize;
        self.bytes[bucket.min(BUCKETS - 1)].fetch_add(bytes as u64, Relaxed);
        self.messages.fetch_add(1, Relaxed);
        let ns = now.as_nanos() as u64;
        let last = self.last.swap(ns, Relaxed);
        if last > 0 {
            self.gap.fetch_max(ns - last, Relaxed);
        }
    }

    /// Bytes so far.
    pub(super) fn total(&self) -> u64 {
        self.bytes.iter().map(|b| b.load(Relaxed)).sum()
    }

    /// Reads or datagrams.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Relaxed)
    }

    /// Forgets the longest gap.
    pub(super) fn reset_gap(&self) {
        self.gap.store(0, Relaxed);
    }

    pub(super) fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.gap.load(Relaxed))
    }

    /// The bucket of a moment.
    pub(super) fn bucket(&self, at: Instant) -> usize {
        ((at - self.start).as_nanos() / BUCKET.as_nanos()) as usize
    }

    /// When a bucket begins.
    pub(super) fn begin(&self, bucket: usize) -> Instant {
        self.start + BUCKET * bucket as u32
    }

    /// Bits of payload a second in these buckets.
    pub(super) fn rate(&self, from: usize, to: usize) -> f64 {
        let bytes: u64 = self.bytes[from..to].iter().map(|b| b.load(Relaxed)).sum();
        bytes as f64 * 8.0 / (BUCKET * (to - from) as u32).as_secs_f64()
    }

    /// The rate from now on, for so long.
    pub(super) fn measure(&self, time: Duration) -> Result<f64> {
        let from = self.bucket(Instant::now()) + 1;
        interrupt::sleep(time + BUCKET * 2)?;
        Ok(self.rate(from, from + (time.as_nanos() / BUCKET.as_nanos()) as usize))
    }
}

/// A thread that ends when this is dropped.
struct Background {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Calls `step` until it says that it is over.
    fn start(mut step: impl FnMut() -> bool + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || while !told.load(Relaxed) && step() {});
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One that sends, and one that receives.
pub(super) struct Flow {
    pub(super) arrivals: Arc<Arrivals>,
    _ends: [Background; 2],
}

impl Flow {
    /// A TCP stream that sends as much as it can, by CUBIC (RFC 9438), the default of Linux: queues are to be looked
    /// at, and others, as BBR, do not fill them.
    pub(super) fn tcp(from: &Netns, to: &Netns, address: Ipv4Addr, port: u16) -> Result<Self> {
        let at = SocketAddr::from((address, port));
        let listener = to.inside(|| TcpListener::bind(at))?.context("a TCP server")?;
        let connect = || TcpStream::connect_timeout(&at, Duration::from_secs(2)).ok();
        let mut sender = interrupt::wait_for("a TCP connection", Duration::from_secs(10), || {
            from.inside(connect).ok().flatten()
        })?;
        let (mut receiver, _) = listener.accept()?;
        set_tcp_congestion(&sender, "cubic").context("TCP's CUBIC (CONFIG_TCP_CONG_CUBIC)")?;
        sender.set_write_timeout(Some(PATIENCE))?;
        receiver.set_read_timeout(Some(PATIENCE))?;
        let arrivals = Arrivals::new();
        let noted = arrivals.clone();
        let (data, mut buffer) = (vec![0x55; 1 << 17], vec![0; 1 << 18]);
        let receive = Background::start(move || match receiver.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                noted.note(n);
                true
            }
            Err(e) => is_patience(&e),
        });
        let send = Background::start(move || match sender.write(&data) {
            Ok(_) => true,
            Err(e) => is_patience(&e),
        });
        Ok(Self { arrivals, _ends: [send, receive] })
    }

    /// Datagrams of full length, so many bits of payload a second.
    pub(super) fn udp(from: &Netns, to: &Netns, address: Ipv4Addr, port: u16, rate: f64) -> Result<Self> {
        let receiver = Receiver::udp(to, None, port)?;
        let size = UDP_PAYLOAD as usize;
        let sender = Sender::udp(from, (address, port).into(), size, rate / 8.0 / UDP_PAYLOAD)?;
        Ok(Self { arrivals: receiver.arrivals, _ends: [sender.thread, receiver.thread] })
    }
}

fn is_patience(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(e.kind(), WouldBlock | TimedOut | Interrupted)
}

/// One that receives datagrams.
pub(super) struct Receiver {
    pub(super) arrivals: Arc<Arrivals>,
    thread: Background,
}

impl Receiver {
    /// All that an interface receives: bytes of frames with their headers, those of a frame to be segmented once.
    pub(super) fn interface(ns: &Netns, ifname: &'static str) -> Result<Self> {
        // Opened there, it tells of that namespace to whoever reads.
        let mut table = ns.inside(|| File::open("/proc/thread-self/net/dev"))??;
        let mut read = move || -> Option<u64> {
            table.rewind().ok()?;
            let mut text = String::new();
            table.read_to_string(&mut text).ok()?;
            let row = text.lines().find_map(|l| l.trim().strip_prefix(ifname)?.strip_prefix(':'))?;
            row.split_whitespace().next()?.parse().ok()
        };
        let arrivals = Arrivals::new();
        let noted = arrivals.clone();
        let mut before = read().context("no such interface")?;
        let thread = Background::start(move || {
            std::thread::sleep(BUCKET / 10);
            let Some(now) = read() else { return false };
            noted.note((now - before) as usize);
            before = now;
            true
        });
        Ok(Self { arrivals, thread })
    }

    /// At this port of every address, and of this group.
    pub(super) fn udp(ns: &Netns, group: Option<[Ipv4Addr; 2]>, port: u16) -> Result<Self> {
        let socket = ns.inside(|| -> Result<_> {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            if let Some([group, own]) = group {
                socket.join_multicast_v4(&group, &own)?;
            }
            Ok(socket)
        })??;
        // What waits while others have the processor is not lost.
        set_socket_recv_buffer_size_force(&socket, 16 << 20)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let arrivals = Arrivals::new();
        let noted = arrivals.clone();
        let mut buffer = [0; 2048];
        let thread = Background::start(move || {
            if let Ok(n) = socket.recv(&mut buffer) {
                noted.note(n);
            }
            true
        });
        Ok(Self { arrivals, thread })
    }
}

/// One that sends datagrams at a rate.
pub(super) struct Sender {
    sent: Arc<AtomicU64>,
    thread: Background,
}

impl Sender {
    /// `rate`: datagrams a second. What was not sent in time is not made up for later.
    pub(super) fn udp(ns: &Netns, to: SocketAddr, size: usize, rate: f64) -> Result<Self> {
        let socket = ns.inside(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        socket.set_broadcast(true)?;
        let sent = Arc::new(AtomicU64::new(0));
        let (counted, data) = (sent.clone(), vec![0x55; size]);
        let (start, mut gone) = (Instant::now(), 0.0_f64);
        let backlog = (rate / 100.0).max(1.0);
        let thread = Background::start(move || {
            let due = start.elapsed().as_secs_f64() * rate;
            gone = gone.max(due - backlog);
            // Not all of a backlog at once: somebody may want this thread to end.
            for _ in 0..64 {
                if gone + 1.0 > due {
                    std::thread::sleep(Duration::from_micros(200));
                    break;
                }
                gone += 1.0;
                // A full queue of the interface loses it, as the switch might.
                if socket.send_to(&data, to).is_ok() {
                    counted.fetch_add(1, Relaxed);
                }
            }
            true
        });
        Ok(Self { sent, thread })
    }

    /// Stops. Datagrams that were sent.
    pub(super) fn finish(self) -> u64 {
        drop(self.thread);
        self.sent.load(Relaxed)
    }
}
