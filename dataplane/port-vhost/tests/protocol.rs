//! Ports and their front ends, over real sockets: who comes, what is agreed on, who goes and comes again; and
//! front ends that mean no good.

mod front;

use front::{
    GUEST_CSUM, Guest, PACKED, PROTOCOL, VERSION_1, accept, descriptors, down, driver, listen, open, spec,
    until, up,
};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use vhost::VhostBackend;
use vhost::vhost_user::VhostUserFrontend;
use vsw_port::{Health, PortSpec};

const FEATURES: u64 = VERSION_1 | PROTOCOL;

#[test]
fn a_guest_comes_works_and_goes_in_both_modes() {
    for server in [false, true] {
        for (ring, base) in [(0, 0), (PACKED, 1 << 15)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("p.sock");
            let mut port = open(&driver(), &spec(path.clone(), server));
            down(&mut port, "no guest: waiting for /");
            let listener = (!server).then(|| listen(&path));
            let stream = match &listener {
                Some(listener) => accept(listener),
                None => until("the socket", || UnixStream::connect(&path).ok()),
            };
            down(&mut port, "the guest's driver is not up");
            let mut guest = Guest::new(stream, FEATURES | ring | GUEST_CSUM);
            guest.boot(base);
            up(&mut port);
            let words = if ring == 0 { "split" } else { "packed" };
            let ends = format!("{words}, 1 of 1 queue");
            let info = until(&ends, || Some(port.device.info()).filter(|info| info.mode.ends_with(&ends)));
            assert_eq!((info.caps.names(), info.mtu), (vec!["csum"], 1500));
            // Nothing was taken: the ring is where it began.
            let at = guest.front.get_vring_base(1).unwrap();
            assert_eq!(at & 0xffff, u32::from(base));
            down(&mut port, "not up");
            drop(guest);
            down(&mut port, "no guest");
            drop(port);
            assert_eq!(path.exists(), !server, "our socket goes with the port, and only ours");
        }
    }
}

#[test]
fn rings_run_at_once_where_enabling_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let mut port = open(&driver(), &spec(path.clone(), true));
    let stream = until("the socket", || UnixStream::connect(&path).ok());
    let guest = Guest::new(stream, VERSION_1);
    guest.front.set_mem_table(&[guest.region()]).unwrap();
    (0..2).for_each(|ring| guest.start(ring, 0));
    up(&mut port);
}

#[test]
fn memory_comes_region_by_region() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let mut port = open(&driver(), &spec(path.clone(), true));
    let stream = until("the socket", || UnixStream::connect(&path).ok());
    let mut guest = Guest::new(stream, FEATURES);
    assert!(guest.front.get_max_mem_slots().unwrap() >= 8);
    // Rings wait for the memory that they lie in.
    for ring in 0..2 {
        guest.start(ring, 0);
        guest.front.set_vring_enable(ring, true).unwrap();
    }
    let region = guest.region();
    guest.front.add_mem_region(&region).unwrap();
    up(&mut port);
    guest.front.remove_mem_region(&region).unwrap_err();
}

#[test]
fn refusals_are_told_and_the_connection_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let mut port = open(&driver(), &PortSpec { mtu: Some(2000), ..spec(path.clone(), true) });
    let stream = until("the socket", || UnixStream::connect(&path).ok());
    let mut guest = Guest::new(stream, FEATURES);
    guest.front.set_vring_num(0, 0).unwrap_err();
    guest.boot(0);
    guest.front.set_vring_base(0, 1).unwrap_err();
    guest.front.set_features(FEATURES | PACKED).unwrap_err();
    guest.front.set_features(1 << 63).unwrap_err();
    assert_eq!(guest.front.get_queue_num().unwrap(), 1);
    up(&mut port);
    assert_eq!(port.device.info().mtu, 2000);
}

#[test]
fn a_second_front_end_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let mut port = open(&driver(), &spec(path.clone(), true));
    let first = until("the socket", || UnixStream::connect(&path).ok());
    down(&mut port, "not up");
    let mut second = UnixStream::connect(&path).unwrap();
    second.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(second.read(&mut [0; 1]).unwrap(), 0, "closed");
    Guest::new(first, FEATURES).boot(0);
}

#[test]
fn a_hundred_reconnects_are_quick_and_leak_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for server in [false, true] {
        let path = folder.path().join(format!("{server}.sock"));
        let mut port = open(&driver(), &spec(path.clone(), server));
        let listener = (!server).then(|| listen(&path));
        let mut before = 0;
        for round in 0..100 {
            let stream = match &listener {
                Some(listener) => accept(listener),
                None => until("the socket", || UnixStream::connect(&path).ok()),
            };
            Guest::new(stream, FEATURES).boot(0);
            down(&mut port, "no guest");
            match round {
                10 => before = descriptors(),
                // Other tests of this process come and go.
                99 => assert!(descriptors() < before + 50, "{} after {before}", descriptors()),
                _ => {}
            }
        }
    }
}

#[test]
fn a_front_end_that_starts_later_is_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let mut port = open(&driver(), &spec(path.clone(), false));
    down(&mut port, "no guest");
    // By now it tries once a second.
    std::thread::sleep(Duration::from_millis(2500));
    let listener = listen(&path);
    let since = Instant::now();
    let stream = accept(&listener);
    assert!(since.elapsed() < Duration::from_millis(200), "{:?}", since.elapsed());
    drop(stream);
}

/// What a front end may try, and what the port says of it.
#[test]
fn who_breaks_the_protocol_is_given_up_by_name() {
    let word = |words: &[u32]| words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
    let rows = [
        (word(&[1, 2, 0]), "protocol version 2"),
        (word(&[1, 1, 1 << 20]), "a message of 1048576 bytes"),
        (word(&[99, 1, 0]), "request 99"),
        (word(&[2, 1, 4, 0]), "request 2 with a payload of 4 bytes"),
        (word(&[5, 1, 40, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "request 5 with 1 descriptors too few"),
        (word(&[8, 1, 8, 77, 256]), "vring 77"),
        (word(&[12, 1, 8, 0, 0]), "request 12 with 1 descriptors too few"),
        (word(&[6, 1, 8, 0, 0]), "log without a file"),
    ];
    for (bytes, says) in rows {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.sock");
        let mut port = open(&driver(), &spec(path.clone(), true));
        let mut stream = until("the socket", || UnixStream::connect(&path).ok());
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&bytes).unwrap();
        // Whatever it said before, it ends.
        while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
        let why = until("a failure", || match port.device.health() {
            Health::Failed(why) => Some(why),
            _ => None,
        });
        assert!(why.contains(says), "wanted {says:?}, got {why:?}");
    }
}

#[test]
fn who_is_slow_or_floods_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let driver = driver();
    let [bad, good] = ["bad", "good"].map(|name| folder.path().join(name));
    let ports = [&bad, &good].map(|path| open(&driver, &spec(path.clone(), true)));
    let mut half = until("the socket", || UnixStream::connect(&bad).ok());
    half.write_all(&[5, 0, 0]).unwrap();
    let [_, mut port] = ports;
    let mut guest = Guest::new(until("the socket", || UnixStream::connect(&good).ok()), FEATURES);
    guest.boot(0);
    up(&mut port);
    // Questions without end, the answers to which are never read.
    half.write_all(&[0; 9]).unwrap_or_default();
    half.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    drop(half);
    let mut flood = until("the socket", || UnixStream::connect(&bad).ok());
    let questions = [1u32, 1, 0].map(u32::to_ne_bytes).concat().repeat(1000);
    flood.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) && flood.write_all(&questions).is_ok() {
        let asked = Instant::now();
        guest.front.get_features().unwrap();
        assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
    }
    assert_eq!(port.device.health(), Health::Up);
}
