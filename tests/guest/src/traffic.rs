//! Pings and TCP transfers between a guest and a namespace.

use crate::Guest;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vsw_netns::{Lab, Namespace};

/// For the other side to do something.
const PATIENCE: Duration = Duration::from_secs(40);

/// Pings until an answer comes.
#[track_caller]
pub fn reaches(guest: &Guest, to: &str) {
    guest.good(&format!("for i in 1 2 3 4 5 6 7 8 9 10; do ping -c 1 -W 1 {to} && exit; done; exit 1"));
}

/// Nobody answers.
#[track_caller]
pub fn cannot_reach(guest: &Guest, to: &str) {
    let ran = guest.run(&format!("ping -c 2 -W 1 {to}"));
    assert!(ran.status != 0 && ran.output.contains("100% packet loss"), "{to}: {}", ran.output);
}

/// The guest connects to the address of a machine; so many bytes go `up` from it and `down` to it, at once,
/// and what arrived is compared.
#[track_caller]
pub fn transfer(lab: &Lab, guest: &Guest, machine: &Namespace, address: &str, up: usize, down: usize) {
    let listener = machine.inside(|| TcpListener::bind((address, 0)).expect("it listens"));
    listener.set_nonblocking(true).expect("a live socket");
    let port = listener.local_addr().expect("an address").port();
    let [sent, got] = ["sent", "got"].map(|name| lab.dir().join(format!("{name}-{port}")));
    let random = fs::File::open("/dev/urandom").expect("it exists").take(down as u64);
    io::copy(&mut { random }, &mut fs::File::create(&sent).expect("a file")).expect("room for a file");
    let sums = std::thread::scope(|scope| {
        scope.spawn(|| exchange(&accept(&listener), &sent, &got));
        guest.good(&format!(
            "head -c {up} /dev/urandom >/tmp/up; nc {address} {port} </tmp/up >/tmp/down || exit; \
             sha256sum </tmp/up; sha256sum </tmp/down"
        ))
    });
    let sums: Vec<&str> = sums.split_whitespace().filter(|word| word.len() == 64).collect();
    assert_eq!(sums, [sha256(&got), sha256(&sent)], "what was sent and received by the guest");
    assert_eq!(fs::metadata(&got).expect("it exists").len(), up as u64);
}

/// One guest connects to another and sends so many bytes.
#[track_caller]
pub fn between_guests(from: &Guest, to: &Guest, address: &str, bytes: usize) {
    // Its input stays open: see `exchange`.
    to.good("rm -f /tmp/got; (sleep 100 | nc -l -p 5000 >/tmp/got) 2>/dev/null &");
    to.good("for i in $(seq 50); do netstat -ltn | grep -q :5000 && exit; sleep 0.1; done; exit 1");
    let sent = from.good(&format!(
        "head -c {bytes} /dev/urandom >/tmp/up; nc {address} 5000 </tmp/up || exit; sha256sum </tmp/up"
    ));
    assert_eq!(to.good("sha256sum </tmp/got"), sent, "what arrived at {address}");
}

fn accept(listener: &TcpListener) -> TcpStream {
    let end = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => return stream,
            Err(_) => assert!(Instant::now() < end, "the guest does not connect"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Busybox's `nc` ends when the other side does, whatever it has left to send: so the guest closes first.
fn exchange(stream: &TcpStream, sent: &Path, got: &Path) {
    stream.set_nonblocking(false).expect("a live socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a live socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a live socket");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut from, mut to) = (fs::File::open(sent).expect("it exists"), stream);
            io::copy(&mut from, &mut to).and_then(|_| to.flush()).expect("the guest reads");
        });
        let mut from = stream;
        io::copy(&mut from, &mut fs::File::create(got).expect("a file")).expect("the guest sends");
    });
}

fn sha256(file: &Path) -> String {
    let input = fs::File::open(file).expect("it exists");
    let out = Command::new("sha256sum").stdin(input).output().expect("coreutils");
    String::from_utf8_lossy(&out.stdout).split(' ').next().unwrap_or_default().to_owned()
}
