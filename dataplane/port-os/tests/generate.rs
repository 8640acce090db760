//! The generator and the sink count the same frames, on the real kernel.

mod common;

use common::*;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;
use vsw_port_os::generate::{Generator, IMIX, Sink, Stream, open_to_redirects};
use vsw_port_os::link::Links;

/// A veth pair and the index of each end.
fn veth() -> (u32, u32) {
    run("ip link add v0 type veth peer name v1");
    let links = Links::open().unwrap();
    let index = |name| {
        run(&format!("ip link set dev {name} addrgenmode none up"));
        links.by_name(name).unwrap().index
    };
    (index("v0"), index("v1"))
}

#[test]
fn what_is_offered_is_received() {
    if !root("what_is_offered_is_received") {
        return;
    }
    in_fresh_netns(|| {
        let (v0, v1) = veth();
        let generator = Generator::new(v0, &Stream::default()).unwrap();
        let sink = Sink::attach(v1).unwrap();
        // Few enough at once for the veth's ring.
        for _ in 0..100 {
            generator.offer(64).unwrap();
        }
        wait_for("all frames", || sink.received() == 6400);
        assert_eq!(generator.offered().frames, 6400);
        drop(sink);
        generator.offer(64).unwrap();
        assert_eq!(generator.offered().frames, 6464, "offered, though nobody takes them");
    });
}

#[test]
fn an_open_veth_passes_redirected_frames_to_its_host() {
    if !root("an_open_veth_passes_redirected_frames_to_its_host") {
        return;
    }
    in_fresh_netns(|| {
        let (v0, v1) = veth();
        let generator = Generator::new(v0, &Stream::default()).unwrap();
        let received = || {
            let all = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let line = all.lines().find_map(|l| l.trim().strip_prefix("v1:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        generator.offer(64).unwrap();
        assert_eq!(received(), 0, "a plain veth takes none");
        let open = open_to_redirects(v1).unwrap();
        generator.offer(64).unwrap();
        wait_for("the frames at the host", || received() == 64);
        drop(open);
    });
}

/// A raw socket that sees the IPv4 frames that an interface receives.
#[allow(unsafe_code)]
fn packet_socket(ifindex: u32) -> OwnedFd {
    let protocol = (libc::ETH_P_IP as u16).to_be();
    // SAFETY: plain system calls with an address that is filled in and as long as said; the descriptor is new.
    let socket = unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = ifindex as i32;
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol.into());
        assert!(fd >= 0);
        let bound = libc::bind(fd, (&raw const address).cast(), size_of_val(&address) as u32);
        assert_eq!(bound, 0);
        OwnedFd::from_raw_fd(fd)
    };
    let patience = Some(Duration::from_secs(5));
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, patience).unwrap();
    socket
}

#[test]
fn sizes_and_stations_take_turns() {
    if !root("sizes_and_stations_take_turns") {
        return;
    }
    in_fresh_netns(|| {
        let (v0, v1) = veth();
        let _open = open_to_redirects(v1).unwrap();
        let socket = packet_socket(v1);
        let stream = Stream { sizes: IMIX.to_vec(), pairs: 3, ..Stream::default() };
        Generator::new(v0, &stream).unwrap().offer(24).unwrap();
        let mut sizes = Vec::new();
        let mut buffer = [0; 2048];
        for i in 0..24_u8 {
            let n = rustix::io::read(&socket, &mut buffer).unwrap();
            sizes.push(n as u16);
            let pair = i % 3;
            assert_eq!(buffer[..12], [6, 0x76, 0, 0, 0, pair, 2, 0x76, 0, 0, 0, pair], "frame {i}");
            assert_eq!(usize::from(u16::from_be_bytes([buffer[16], buffer[17]])), n - 14, "IP's length");
        }
        let mut expected = [IMIX, IMIX].concat();
        sizes.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sizes, expected);
    });
}

#[test]
fn a_paced_stream_keeps_its_rate_and_tells_the_time() {
    if !root("a_paced_stream_keeps_its_rate_and_tells_the_time") {
        return;
    }
    in_fresh_netns(|| {
        let (v0, v1) = veth();
        let sink = Sink::attach(v1).unwrap();
        assert!(sink.latency([0.5]).is_none());
        let generator = Generator::new(v0, &Stream { rate: Some(10_000), ..Stream::default() }).unwrap();
        generator.offer(1 << 20).unwrap();
        let offered = generator.offered();
        // Never faster than asked for, but for what it may make up for; how much slower depends on the machine.
        let most = offered.during.as_secs_f64() * 10_000.0 + 2.0;
        assert!(offered.frames > 10 && (offered.frames as f64) < most, "{offered:?}");
        wait_for("all frames", || sink.received() == offered.frames);
        let [half, all] = sink.latency([0.5, 1.0]).unwrap();
        assert!(half <= all && half > Duration::ZERO && half < Duration::from_millis(4), "{half:?} {all:?}");
        sink.reset();
        assert_eq!((sink.received(), sink.latency([0.5])), (0, None));
    });
}
