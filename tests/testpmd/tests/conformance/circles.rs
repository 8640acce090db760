//! Frames that run in circles between the two NICs of a testpmd, which counts them.

use std::time::{Duration, Instant};
use vsw_netns::{Lab, eventually};
use vsw_testpmd::Testpmd;

/// Frames in a burst: from two NICs with two queue pairs, in five buffers each, 160 of 256 descriptors.
pub(crate) const BURST: u32 = 8;

/// How long frames may be on their way on a busy machine before they count as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has frames of these lengths run in circles between the two NICs of a testpmd, whose ports are in one VLAN;
/// not one may be lost. Every NIC begins with a burst in each queue. All of them fit into one queue ([`BURST`]), so
/// nobody is ever offered more than it can take.
#[track_caller]
pub(crate) fn circles(lab: &Lab, testpmd: &mut Testpmd, buffer: u32, lengths: &[u32], what: &str) {
    // What the machines sent before is not to be counted.
    drain(testpmd);
    for &bytes in lengths {
        testpmd.frame_length(bytes, buffer).unwrap();
        let before = testpmd.total().unwrap();
        testpmd.tell("set fwd io").unwrap();
        testpmd.tell("start tx_first 1").unwrap();
        eventually(&format!("frames of {bytes} bytes run in circles: {what}"), || {
            let now = testpmd.total().unwrap() - before;
            assert_eq!(now.rx_lost, 0, "{what}, {bytes} bytes: {now:?}");
            now.rx_packets > 5_000
        });
        let streams = testpmd.tell("stop").unwrap();
        let idle = idle_streams(&streams);
        assert!(idle.is_empty(), "{what}, {bytes} bytes: nothing came by {idle:?}: {streams}");
        testpmd.forward("rxonly").unwrap();
        let mut now = testpmd.total().unwrap() - before;
        let end = Instant::now() + PATIENCE;
        while now.rx_packets != now.tx_packets && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
            now = testpmd.total().unwrap() - before;
        }
        testpmd.stop().unwrap();
        let what = &format!("{what}; drops: {}", lab.json("drops"));
        assert_eq!((now.rx_packets, now.rx_lost), (now.tx_packets, 0), "{what}, {bytes} bytes: {now:?}");
        assert_eq!(now.rx_bytes, now.tx_bytes, "{what}, {bytes} bytes: {now:?}");
        assert_eq!(now.rx_bytes, now.rx_packets * u64::from(bytes), "{what}, {bytes} bytes: {now:?}");
    }
}

/// Takes what is on its way, until nothing comes any more.
#[track_caller]
fn drain(testpmd: &mut Testpmd) {
    testpmd.forward("rxonly").unwrap();
    let mut last = testpmd.total().unwrap();
    eventually("nothing is on its way", || {
        std::thread::sleep(Duration::from_millis(50));
        let now = testpmd.total().unwrap();
        now == std::mem::replace(&mut last, now)
    });
    testpmd.stop().unwrap();
}

/// Of several queue pairs, those that `stop` says received nothing.
fn idle_streams(said: &str) -> Vec<&str> {
    let mut idle = Vec::new();
    let mut stream = None;
    for line in said.lines() {
        if line.contains("RX Port=") {
            stream = Some(line.trim_matches([' ', '-']));
        } else if let Some(name) = stream.take()
            && line.contains("RX-packets: 0 ")
        {
            idle.push(name);
        }
    }
    idle
}
