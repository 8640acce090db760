//! Traffic that is offered whatever becomes of it: a TCP connection that is never idle, and UDP datagrams of
//! several flows, counted where they arrive.
//!
//! Complications: a thread is in a network namespace for as long as it makes its sockets, which stay there.
//!
//! Thread-safety: each has threads of its own, which end when it is dropped.

use crate::Namespace;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it takes to notice that it is over.
const TICK: Duration = Duration::from_millis(20);

/// A connection over which as much is sent as can be.
#[derive(Debug)]
pub struct Stream {
    ends: [TcpStream; 2],
    arrived: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    #[track_caller]
    pub fn new(client: &Namespace, server: &Namespace, to: SocketAddr) -> Self {
        let listener = server.inside(|| TcpListener::bind(to).expect("it listens"));
        let at = listener.local_addr().expect("an address");
        let patience = Duration::from_secs(10);
        let from = client.inside(|| TcpStream::connect_timeout(&at, patience).expect("it is reached"));
        let (into, _) = listener.accept().expect("somebody connects");
        let arrived = Arc::new(AtomicU64::new(0));
        let (mut reader, mut writer) = (into.try_clone().expect("a socket"), from.try_clone().expect("one"));
        let count = arrived.clone();
        let threads = vec![
            std::thread::spawn(move || while writer.write_all(&[7; 16_384]).is_ok() {}),
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok(n @ 1..) = reader.read(&mut buffer) {
                    count.fetch_add(n as u64, Relaxed);
                }
            }),
        ];
        Self { ends: [from, into], arrived, threads }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
        self.threads.drain(..).for_each(|t| drop(t.join()));
    }
}

/// Bits of payload per second that each of these receives during a time.
pub fn rates(streams: &[Stream], time: Duration) -> Vec<f64> {
    let look = || streams.iter().map(|s| s.arrived.load(Relaxed)).collect::<Vec<_>>();
    let (began, before) = (Instant::now(), look());
    std::thread::sleep(time);
    let (after, seconds) = (look(), began.elapsed().as_secs_f64());
    before.iter().zip(after).map(|(before, after)| (after - before) as f64 * 8.0 / seconds).collect()
}

/// Sockets of one machine, and what another one receives from them.
#[derive(Debug)]
pub struct Datagrams {
    /// With a port each.
    from: Vec<UdpSocket>,
    to: SocketAddr,
    arrived: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Datagrams {
    /// So many flows. `to` is where they go; broadcasts are not counted there.
    #[track_caller]
    pub fn new(client: &Namespace, server: &Namespace, to: SocketAddr, flows: usize) -> Self {
        let receiver = server.inside(|| UdpSocket::bind(to).expect("it listens"));
        let to = receiver.local_addr().expect("an address");
        let open = |_| UdpSocket::bind(("0.0.0.0", 0)).expect("a port");
        let from: Vec<UdpSocket> = client.inside(|| (0..flows).map(open).collect());
        from.iter().for_each(|s| s.set_broadcast(true).expect("a live socket"));
        receiver.set_read_timeout(Some(TICK)).expect("a live socket");
        let (arrived, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, over) = (arrived.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !over.load(Relaxed) {
                match receiver.recv(&mut buffer) {
                    Ok(_) => drop(count.fetch_add(1, Relaxed)),
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(e) => panic!("receiving: {e}"),
                }
            }
        });
        Self { from, to, arrived, is_over, thread: Some(thread) }
    }

    /// One of each flow, with so many bytes of payload.
    pub fn round(&self, bytes: usize) {
        for socket in &self.from {
            socket.send_to(&vec![7; bytes], self.to).expect("it is sent");
        }
    }

    /// One of each flow to everybody.
    pub fn broadcast(&self, bytes: usize) {
        for socket in &self.from {
            socket.send_to(&vec![7; bytes], ("10.0.0.255", 9)).expect("it is sent");
        }
    }

    pub fn arrived(&self) -> u64 {
        self.arrived.load(Relaxed)
    }

    /// Waits until so many arrived, ten seconds at most.
    pub fn has_received(&self, n: u64) -> bool {
        let end = Instant::now() + Duration::from_secs(10);
        while self.arrived() < n && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(100));
        }
        self.arrived() == n
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        self.thread.take().into_iter().for_each(|t| drop(t.join()));
    }
}
