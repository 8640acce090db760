//! Every kind of front end that testpmd can be: who owns the socket, layout of the queues, queue pairs,
//! mergeable buffers; frames of 64 to 9,018 bytes.
//!
//! ```text
//!   machine a ── a ─ VLAN 10 ─ vm1 ═ NIC 0   testpmd   NIC 1 ═ vm2 ─ VLAN 20 ─ b ── machine b
//! ```
//! Testpmd is a wire: what one NIC receives, the other sends. Datagrams and TCP from machine to machine must
//! arrive byte by byte, with checksums finished and large frames cut, for testpmd took no offload. Then both
//! VLANs become one, and frames run in circles through both NICs: none may get lost.

use crate::alone;
use crate::circles::{BURST, circles};
use crate::payload::datagrams;
use vsw_netns::Lab;
use vsw_netns::traffic::{addresses, transfer};
use vsw_testpmd::{Config, Nic, Ring, is_there};

const JUMBO: u32 = 9_014;

/// Lengths of frames with their check sequence.
fn lengths() -> impl Iterator<Item = usize> + Clone {
    let near = |n: usize| n - 2..=n + 2;
    (64..320)
        .chain((320..9_000).step_by(61))
        .chain(near(1_518))
        .chain(near(2_048))
        .chain(near(4_096))
        .chain([9_018])
}

#[test]
fn split_rings_when_the_switch_connects() {
    holds("split_rings_when_the_switch_connects", Ring::Split, true);
}

#[test]
fn split_rings_when_the_switch_listens() {
    holds("split_rings_when_the_switch_listens", Ring::Split, false);
}

#[test]
fn packed_rings_when_the_switch_connects() {
    holds("packed_rings_when_the_switch_connects", Ring::Packed, true);
}

#[test]
fn packed_rings_when_the_switch_listens() {
    holds("packed_rings_when_the_switch_listens", Ring::Packed, false);
}

fn holds(test: &str, ring: Ring, server: bool) {
    let _alone = alone();
    if !is_there(test) {
        return;
    }
    let Some(lab) = Lab::new(test) else { return };
    lab.good("add-br br0");
    let [a, b] = [("a", 1, 10), ("b", 2, 20)].map(|(name, n, vlan)| {
        let machine = lab.tap("br0", name, n, &format!("--vlan {vlan} --mtu 9000"));
        machine.ip(&format!("link set dev {name} mtu 9000"));
        machine
    });
    let mode = if server { "client" } else { "server" };
    for queues in [1, 2] {
        for mergeable in [true, false] {
            let nic = |n: u8| {
                let socket = lab.dir().join(format!("vm{n}.sock"));
                Nic { server, ring, queues, mergeable, ..Nic::new(socket, n) }
            };
            let nics = vec![nic(1), nic(2)];
            let what = nics[0].to_string();
            for (n, nic) in (1..).zip(&nics) {
                let socket = nic.socket.display();
                lab.good(&format!(
                    "--no-wait add-port br0 vm{n} --type vhost-user --mode {mode} --queues {queues} --mtu 9000 \
                     --vlan {n}0 --socket {socket}"
                ));
            }
            // Frames that are not merged have to fit into one buffer.
            let buffer_bytes = if mergeable { 2_176 } else { JUMBO + 256 };
            let more = vec!["--txonly-multi-flow".into(), format!("--burst={BURST}")];
            let config =
                Config { longest: JUMBO, buffer_bytes, buffers: 8_192, more, ..Config::new(lab.dir(), nics) };
            let mut testpmd = config.start().unwrap();
            testpmd.forward("io").unwrap();
            for port in ["vm1", "vm2"] {
                lab.becomes(port, "up");
            }
            datagrams(&a, &b, lengths(), &what);
            transfer(&a, &b, addresses(2)[0], 1 << 20);
            testpmd.stop().unwrap();
            lab.good("set-port br0 vm1 --vlan 30");
            lab.good("set-port br0 vm2 --vlan 30");
            let buffer = buffer_bytes - 128;
            circles(&lab, &mut testpmd, buffer, &[60, 594, 1_514, 8_996], &what);
            testpmd.kill();
            lab.good("del-port br0 vm1");
            lab.good("del-port br0 vm2");
        }
    }
}
