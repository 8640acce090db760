//! The program beside its slow twin: what it hands on and what it leaves to the socket, frame by frame.

#[path = "../../../port-os/tests/common/mod.rs"]
mod common;

use super::*;
use crate::partial::unfinished;
use common::{in_fresh_netns, root, run};
use proptest::prelude::*;
use vsw_port_os::shortcut::{Domain, Rule, key};

const REDIRECT: u32 = 4;
const PASS: u32 = 2;
const LONGEST: u32 = 300;

const A: u64 = 0x02_00_00_00_00_0a;
const B: u64 = 0x02_00_00_00_00_0b;
const C: u64 = 0x02_00_00_00_00_0c;
const NOBODY: u64 = 0x02_00_00_00_00_0e;
const GROUP: u64 = 0x01_80_c2_00_00_00;

/// Seats of three interfaces, the first of which runs the program. A and B are in one domain, C in another.
struct Seats {
    board: Arc<Board>,
    seats: [Seat; 3],
    program: OwnedFd,
    _sockets: XskMap,
}

impl Seats {
    /// In the calling thread's namespace.
    fn new() -> Self {
        run("ip link add va type veth peer name vb");
        run("ip link add vc type veth peer name vd");
        let links = vsw_port_os::link::Links::open().unwrap();
        let board = Arc::new(Board::new().unwrap());
        let seats = ["va", "vb", "vc"].map(|n| board.seat(links.by_name(n).unwrap().index).unwrap());
        let sockets = XskMap::new(1).unwrap();
        let (program, parts) = load(&sockets, Some((&seats[0], true))).unwrap();
        assert!(parts, "this kernel takes frames in parts");
        let this = Self { board, seats, program, _sockets: sockets };
        this.reset();
        this
    }

    fn reset(&self) {
        for (i, domain) in [1, 1, 2].into_iter().enumerate() {
            self.rule(i, domain, LONGEST);
        }
        for (i, (domain, mac)) in [(1, A), (1, B), (2, C)].into_iter().enumerate() {
            self.board.insert(name(domain, mac), self.seats[i].number()).unwrap();
        }
    }

    fn rule(&self, seat: usize, domain: u16, longest: u32) {
        let rule = Domain::new(domain).map(|domain| Rule { domain, longest });
        self.board.set_rule(self.seats[seat].number(), rule);
    }

    fn is_redirected(&self, frame: &[u8]) -> bool {
        match bpf::run_once(self.program.as_fd(), frame).unwrap() {
            REDIRECT => true,
            PASS => false,
            other => panic!("answers {other}"),
        }
    }
}

fn name(domain: u16, mac: u64) -> u64 {
    key(Domain::new(domain).unwrap(), mac)
}

fn frame(dst: u64, src: u64, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = dst.to_be_bytes()[2..].to_vec();
    frame.extend(&src.to_be_bytes()[2..]);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Runs `f` with seats, if the test can run.
fn with_seats(test: &str, f: impl FnOnce(&Seats) + Send) {
    if root(test) {
        in_fresh_netns(|| f(&Seats::new()));
    }
}

#[test]
fn only_known_unicast_of_one_domain_is_handed_on() {
    with_seats("only_known_unicast_of_one_domain_is_handed_on", |s| {
        let is = |dst, src| s.is_redirected(&frame(dst, src, 0x88b5, &[0; 46]));
        assert!(is(B, A));
        assert!(!is(NOBODY, A) && !is(B, NOBODY), "unknown");
        assert!(!is(A, A), "back where it came from");
        assert!(!is(C, A), "in another domain");
        // Even if somebody had them known.
        for (mac, seat) in [(GROUP, 1), (GROUP + 1, 0), (0, 0)] {
            s.board.insert(name(1, mac), s.seats[seat].number()).unwrap();
        }
        assert!(!is(GROUP, A) && !is(B, GROUP + 1) && !is(B, 0), "groups, nobody");
        for tag in [0x8100, 0x88a8] {
            assert!(!s.is_redirected(&frame(B, A, tag, &[0; 46])), "{tag:x}");
        }
        let sized = |len: usize| s.is_redirected(&frame(B, A, 0x88b5, &vec![0; len - 14]));
        assert!(sized(14) && sized(300) && !sized(301));
        s.rule(1, 1, 0);
        assert!(!is(B, A), "takes none");
        s.rule(1, 2, LONGEST);
        assert!(!is(B, A), "its VLAN is another one now");
        s.rule(1, 1, LONGEST);
        s.rule(0, 0, 0);
        assert!(!is(B, A), "off");
        s.rule(0, 1, 0);
        assert!(is(B, A), "a port that takes no frames may send");
    });
}

#[test]
fn a_station_that_speaks_elsewhere_is_forgotten() {
    with_seats("a_station_that_speaks_elsewhere_is_forgotten", |s| {
        let known = |mac| s.board.stations().unwrap().iter().any(|k| k.key == name(1, mac));
        assert!(known(B));
        assert!(!s.is_redirected(&frame(A, B, 0x88b5, &[0; 46])), "B speaks at the seat of A");
        assert!(!known(B) && known(A));
    });
}

#[test]
fn who_was_heard_when_and_how_much_is_noted() {
    with_seats("who_was_heard_when_and_how_much_is_noted", |s| {
        let heard = |mac| s.board.stations().unwrap().iter().find(|k| k.key == name(1, mac)).unwrap().heard;
        assert_eq!((heard(A), heard(B)), (0, 0));
        for _ in 0..2 {
            s.board.tick();
            assert!(s.is_redirected(&frame(B, A, 0x88b5, &[0; 46])));
            assert_eq!((heard(A), heard(B)), (s.board.clock(), 0));
        }
        let [a, b] = [0, 1].map(|i| s.board.counts(s.seats[i].number()).unwrap());
        assert_eq!((a.rx_packets, a.rx_bytes, a.tx_packets, a.tx_bytes), (2, 120, 0, 0));
        assert_eq!((b.rx_packets, b.rx_bytes, b.tx_packets, b.tx_bytes), (0, 0, 2, 120));
    });
}

#[test]
fn a_seat_is_given_again_empty() {
    with_seats("a_seat_is_given_again_empty", |s| {
        assert!(s.is_redirected(&frame(B, A, 0x88b5, &[0; 46])));
        let links = vsw_port_os::link::Links::open().unwrap();
        let seat = s.board.seat(links.by_name("vd").unwrap().index).unwrap();
        let number = seat.number();
        s.board.set_rule(number, Some(Rule { domain: Domain::MIN, longest: LONGEST }));
        s.board.insert(name(1, NOBODY), number).unwrap();
        assert!(s.is_redirected(&frame(NOBODY, A, 0x88b5, &[0; 46])));
        drop(seat);
        assert!(!s.is_redirected(&frame(NOBODY, A, 0x88b5, &[0; 46])), "its rule went with it");
        let again = s.board.seat(links.by_name("vd").unwrap().index).unwrap();
        assert_eq!((again.number(), s.board.counts(number).unwrap().tx_packets), (number, 0));
    });
}

#[test]
fn many_stations_are_read_back() {
    with_seats("many_stations_are_read_back", |s| {
        for i in 0..20_000 {
            s.board.insert(name(3, i), 1).unwrap();
        }
        let mut keys: Vec<_> = s.board.stations().unwrap().into_iter().map(|k| k.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 20_003);
        s.board.wait().unwrap();
    });
}

/// IPv4 or IPv6 with TCP, UDP or something else; its checksum field is that of an unfinished one, or not;
/// some of what is in the headers is wrong.
fn payload() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let ip = prop_oneof![Just(0x0800_u16), Just(0x86dd), Just(0x0806)];
    let protocol = prop_oneof![4 => Just(6_u8), 4 => Just(17), 1 => Just(1), 1 => any::<u8>()];
    let noise = prop::collection::vec((0_usize..60, any::<u8>()), 0..3);
    let bytes = prop::collection::vec(any::<u8>(), 0..120);
    let end = prop_oneof![3 => Just(0_i16), 1 => -30_i16..30];
    (ip, protocol, noise, bytes, end, any::<bool>(), 0..4_u8).prop_map(
        |(ip, protocol, noise, mut bytes, end, partial, odd)| {
            let len = bytes.len() as i16;
            let (header, field) = if ip == 0x0800 { (20, 12..20) } else { (40, 8..40) };
            if bytes.len() >= header {
                if ip == 0x0800 {
                    bytes[0] = if odd == 1 { 0x46 } else { 0x45 };
                    bytes[2..4].copy_from_slice(&(len + end).to_be_bytes());
                    bytes[6..8].copy_from_slice(&if odd == 2 { [0x20, 0] } else { [0x40, 0] });
                    bytes[9] = protocol;
                } else {
                    bytes[0] = 0x60;
                    bytes[4..6].copy_from_slice(&(len + end - 40).to_be_bytes());
                    bytes[6] = protocol;
                }
                let at = header + if protocol == 6 { 16 } else { 6 };
                if partial && bytes.len() >= at + 2 {
                    let length = (len + end - header as i16) as u16;
                    let words = bytes[field].chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
                    let mut sum = words.sum::<u32>() + u32::from(protocol) + u32::from(length);
                    while sum > 0xffff {
                        sum = (sum & 0xffff) + (sum >> 16);
                    }
                    bytes[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
                }
                for (at, value) in noise.into_iter().filter(|_| odd == 3) {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = value;
                    }
                }
            }
            (ip, bytes)
        },
    )
}

/// What may be handed on as far as its checksum goes, said slowly: what the queue would finish may not, nor
/// what the program does not look at.
fn is_finished(frame: &[u8]) -> bool {
    let at = |i: usize| frame.get(i).copied();
    let long = |protocol, l4: usize| match protocol {
        6 => frame.len() >= l4 + 20,
        17 => frame.len() >= l4 + 8,
        _ => true,
    };
    let simple = match (at(12), at(13)) {
        (Some(8), Some(0)) => {
            frame.len() >= 34
                && frame[14] == 0x45
                && frame[20] & 0x3f == 0
                && frame[21] == 0
                && long(frame[23], 34)
        }
        (Some(0x86), Some(0xdd)) => frame.len() >= 54 && frame[14] >> 4 == 6 && long(frame[20], 54),
        _ => true,
    };
    simple && unfinished(frame, frame.len()).is_none()
}

/// Random frames, each through the program and through the rules as the queue says them.
#[test]
fn it_agrees_with_its_slow_twin() {
    with_seats("it_agrees_with_its_slow_twin", |s| {
        let tally = std::cell::Cell::new([0_u32; 3]);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let outcome = runner.run(&payload(), |(ethertype, bytes)| {
            let frame = frame(B, A, ethertype, &bytes);
            let redirected = s.is_redirected(&frame);
            let [mut all, mut handed, mut held] = tally.get();
            all += 1;
            handed += u32::from(redirected);
            held += u32::from(unfinished(&frame, frame.len()).is_some());
            tally.set([all, handed, held]);
            // More may be left to the queue than it finishes: a wrong length does not make a checksum good.
            prop_assert!(!redirected || unfinished(&frame, frame.len()).is_none(), "handed on unfinished");
            if redirected != is_finished(&frame) {
                prop_assert!(!redirected, "handed on");
                prop_assert!(wrong_length(&frame), "held back");
            }
            Ok(())
        });
        outcome.unwrap();
        let [all, handed, held] = tally.get();
        assert!(handed > all / 10 && held > all / 20, "of {all}: {handed} handed on, {held} unfinished");
    });
}

/// The L4 segment does not end where the frame does.
fn wrong_length(frame: &[u8]) -> bool {
    let word = |i: usize| usize::from(u16::from_be_bytes([frame[i], frame[i + 1]]));
    match frame[12] {
        8 => 14 + word(16) != frame.len(),
        _ => 54 + word(18) != frame.len(),
    }
}
