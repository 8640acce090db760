//! The generator and the sink count the same frames, on the real kernel.

mod common;

use common::*;
use vsw_port_os::generate::{Generator, Sink, open_to_redirects};
use vsw_port_os::link::Links;

const FRAME: [u8; 60] = {
    let mut frame = [0; 60];
    frame[0] = 2;
    frame[6] = 2;
    frame[11] = 1;
    (frame[12], frame[13]) = (0x88, 0xb5);
    frame
};

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
        let generator = Generator::new(v0, &FRAME).unwrap();
        let sink = Sink::attach(v1).unwrap();
        // Few enough at once for the veth's ring.
        for _ in 0..100 {
            generator.offer(64).unwrap();
        }
        wait_for("all frames", || sink.received().unwrap() == 6400);
        assert_eq!(generator.offered().unwrap(), 6400);
        drop(sink);
        generator.offer(64).unwrap();
        assert_eq!(generator.offered().unwrap(), 6464, "offered, though nobody takes them");
    });
}

#[test]
fn an_open_veth_passes_redirected_frames_to_its_host() {
    if !root("an_open_veth_passes_redirected_frames_to_its_host") {
        return;
    }
    in_fresh_netns(|| {
        let (v0, v1) = veth();
        let generator = Generator::new(v0, &FRAME).unwrap();
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
