//! The whole switch against a naive one, under random frames, configuration changes and time.
//!
//! After every event both must have sent the same bytes by the same ports, counted the same drops for the
//! same reasons, and the switch's own accounts must be even. What once failed is kept in
//! `model.regressions` and tried first.

mod naive;

use naive::{Mode, Naive, Out, Port};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::collections::{BTreeMap, BTreeSet};
use vsw_config::{DraftBridge, DraftStation};
use vsw_mem::PoolSize;
use vsw_tests::frames::mac;
use vsw_tests::{Rig, Setup, bridge, port};
use vsw_types::{Direction, MacAddr};

const BRIDGES: usize = 3;
/// Ports that can exist; `ab` and `cd` are cables between bridges, so that there is no loop.
const PORTS: [&str; 8] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"];
const CABLES: [(&str, usize, &str); 4] = [("a", 0, "b"), ("b", 1, "a"), ("c", 1, "d"), ("d", 2, "c")];
/// Few VLANs and stations, so that they meet.
const VLANS: [u16; 3] = [1, 10, 4094];

#[derive(Clone, Debug)]
enum Event {
    Frame {
        port: usize,
        frame: Vec<u8>,
    },
    Wait(u8),
    /// The port is added, or becomes this.
    Put {
        port: usize,
        bridge: usize,
        mode: Mode,
        isolated: bool,
    },
    Move {
        port: usize,
        bridge: usize,
    },
    Remove {
        port: usize,
    },
    /// A cable's end is there or not, with this mode.
    Cable {
        end: usize,
        mode: Option<Mode>,
    },
    /// A station is told by hand, or forgotten.
    Fix {
        station: u8,
        port: usize,
        vlan: usize,
        there: bool,
    },
}

fn vlan() -> impl Strategy<Value = u16> {
    prop::sample::select(&VLANS[..])
}

/// Most ports are together.
fn a_bridge() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 2 => Just(1), 1 => Just(2)]
}

fn mode() -> impl Strategy<Value = Mode> {
    let list = || prop::collection::btree_set(vlan(), 1..4).prop_map(|s| s.into_iter().collect::<Vec<_>>());
    prop_oneof![
        3 => vlan().prop_map(Mode::Access),
        3 => (prop::option::weighted(0.3, list()), prop::option::weighted(0.7, vlan()), any::<bool>()).prop_map(
            |(list, native, tagged)| {
                // Neither a list nor a native VLAN: the port that says nothing, native in VLAN 1.
                let native = if list.is_none() { native.or(Some(1)) } else { native };
                Mode::Trunk { native_tagged: tagged && native.is_some(), list, native }
            }
        ),
        2 => (vlan(), prop::option::of(list()))
            .prop_map(|(service, customers)| Mode::Qinq { service, customers }),
    ]
}

fn tag() -> impl Strategy<Value = [u8; 4]> {
    let vid = prop_oneof![6 => vlan(), 1 => Just(0), 1 => Just(4095), 1 => Just(77)];
    (prop::sample::select(&[0x8100u16, 0x8100, 0x88a8][..]), 0u16..16, vid).prop_map(
        |(tpid, priority, vid)| {
            let (tpid, tci) = (tpid.to_be_bytes(), (priority << 12 | vid).to_be_bytes());
            [tpid[0], tpid[1], tci[0], tci[1]]
        },
    )
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let reserved = (0u8..0x12).prop_map(|last| [1, 0x80, 0xc2, 0, 0, last]);
    let dst = prop_oneof![
        12 => (1u8..5).prop_map(mac),
        4 => Just([0xff; 6]),
        1 => Just([0x33, 0x33, 0, 0, 0, 1]),
        1 => reserved,
    ];
    let src = prop_oneof![20 => (1u8..5).prop_map(mac), 1 => Just([3, 0, 0, 0, 0, 1]), 1 => Just([0; 6])];
    let tags = prop_oneof![
        4 => prop::collection::vec(tag(), 0..1),
        5 => prop::collection::vec(tag(), 1..2),
        2 => prop::collection::vec(tag(), 2..4),
    ];
    let payload = prop_oneof![10 => Just(46usize), 1 => 1499usize..1503, 1 => 0usize..100];
    (dst, src, tags, payload, prop::option::weighted(0.05, 0usize..24)).prop_map(
        |(dst, src, tags, payload, cut)| {
            let mut f = [&dst[..], &src, &tags.concat(), &[0x88, 0xb5]].concat();
            f.extend((0..payload).map(|i| i as u8 ^ dst[5] << 4));
            f.truncate(cut.unwrap_or(f.len()));
            f
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let ports = 0..PORTS.len();
    prop_oneof![
        60 => (ports.clone(), frame()).prop_map(|(port, frame)| Event::Frame { port, frame }),
        6 => (1u8..8).prop_map(Event::Wait),
        1 => Just(Event::Wait(200)),
        2 => (ports.clone(), a_bridge(), mode(), any::<bool>())
            .prop_map(|(port, bridge, mode, isolated)| Event::Put { port, bridge, mode, isolated }),
        1 => (ports.clone(), a_bridge()).prop_map(|(port, bridge)| Event::Move { port, bridge }),
        1 => ports.clone().prop_map(|port| Event::Remove { port }),
        1 => (0..CABLES.len(), prop::option::weighted(0.8, mode()))
            .prop_map(|(end, mode)| Event::Cable { end, mode }),
        2 => (1u8..5, ports, 0..VLANS.len(), prop::bool::weighted(0.8))
            .prop_map(|(station, port, vlan, there)| Event::Fix { station, port, vlan, there }),
    ]
}

/// Ports of all kinds to begin with; then anything.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let plug =
        |p: usize| {
            (a_bridge(), mode(), prop::bool::weighted(0.4))
                .prop_map(move |(bridge, mode, isolated)| Event::Put { port: p, bridge, mode, isolated })
        };
    let cable = |end: usize| mode().prop_map(move |m| Event::Cable { end, mode: Some(m) });
    let begin = ((0..6).map(plug).collect::<Vec<_>>(), (0..CABLES.len()).map(cable).collect::<Vec<_>>());
    (begin, prop::collection::vec(event(), 20..200))
        .prop_map(|((ports, cables), events)| [ports, cables, events].concat())
}

/// Both switches, and the configuration that they have.
struct Pair {
    naive: Naive,
    rig: Rig,
    ports: BTreeMap<String, Port>,
    fixed: BTreeMap<(usize, u16, [u8; 6]), String>,
}

const AGEING: [u32; BRIDGES] = [10, 300, 4];

impl Pair {
    fn new(workers: usize) -> Self {
        let ageing = AGEING.map(u64::from).to_vec();
        let pool = PoolSize { small: 512, large: 1 };
        let rig = Rig::start(Setup { workers, pool, ..Default::default() }, vec![]);
        let naive = Naive::new(ageing);
        Self { naive, rig, ports: BTreeMap::new(), fixed: BTreeMap::new() }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Frame { port, frame } if self.ports.contains_key(PORTS[*port]) => {
                return self.frame(PORTS[*port], frame);
            }
            Event::Frame { .. } => return,
            Event::Wait(seconds) => {
                self.rig.wait(u32::from(*seconds));
                self.naive.wait(u64::from(*seconds));
            }
            Event::Put { port, bridge, mode, isolated } => {
                let (mode, isolated) = (mode.clone(), *isolated);
                self.ports.insert(PORTS[*port].into(), Port { bridge: *bridge, mode, isolated, peer: None });
            }
            Event::Move { port, bridge } => {
                self.ports.entry(PORTS[*port].into()).and_modify(|p| p.bridge = *bridge);
            }
            Event::Remove { port } => {
                self.ports.remove(PORTS[*port]);
            }
            Event::Cable { end, mode } => {
                let (name, bridge, peer) = CABLES[*end];
                match mode.clone() {
                    Some(mode) => {
                        let port = Port { bridge, mode, isolated: false, peer: Some(peer.into()) };
                        self.ports.insert(name.into(), port);
                    }
                    None => {
                        self.ports.remove(name);
                    }
                }
            }
            Event::Fix { station, port, vlan, there } => {
                let Some(p) = self.ports.get(PORTS[*port]) else { return };
                let key = (p.bridge, VLANS[*vlan], mac(*station));
                match there {
                    true => self.fixed.insert(key, PORTS[*port].into()),
                    false => self.fixed.remove(&key),
                };
            }
        }
        if !matches!(event, Event::Wait(_)) {
            self.configure();
        }
        self.compare(&[], &[]);
    }

    fn frame(&mut self, port: &str, frame: &[u8]) {
        let mut expected = Out::new();
        self.naive.receive(port, frame, &mut expected);
        expected.sort();
        let mut heard: Out = self.rig.send(port, frame).into_iter().map(|(p, f)| (p, f.bytes)).collect();
        heard.sort();
        self.compare(&expected, &heard);
    }

    fn configure(&mut self) {
        let ports = &self.ports;
        let stands = |key: &(usize, u16, _), name: &String| {
            ports.get(name).is_some_and(|p| p.bridge == key.0 && p.mode.carries(key.1))
        };
        self.fixed.retain(|key, name| stands(key, name));
        self.naive.configure(self.ports.clone(), &self.fixed);
        self.rig.configure(draft(&self.ports, &self.fixed));
    }

    fn compare(&self, expected: &[(String, Vec<u8>)], heard: &[(String, Vec<u8>)]) {
        assert_eq!(expected, heard, "frames that came out (expected, heard)");
        for (name, expected) in &self.naive.counts {
            let c = self.rig.counters(name);
            let drops = |d: Direction| {
                let of = self.rig.drops(name, d).into_iter();
                of.map(move |(reason, n)| ((d.name(), reason), n))
            };
            let found = naive::Counts {
                rx: c.rx_packets(),
                tx: c.tx_packets(),
                moved: c.macs_moved(),
                drops: drops(Direction::Rx).chain(drops(Direction::Tx)).collect(),
            };
            assert_eq!(expected, &found, "what port {name} counted (expected, found)");
        }
        self.rig.check_accounts();
    }
}

/// The configuration in the words of the command line.
fn draft(
    ports: &BTreeMap<String, Port>,
    fixed: &BTreeMap<(usize, u16, [u8; 6]), String>,
) -> Vec<DraftBridge> {
    let list = |l: &[u16]| l.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let words = |p: &Port| {
        let vlans = match &p.mode {
            Mode::Access(v) => format!("access {v}"),
            Mode::Trunk { list: l, native, native_tagged } => {
                let l = l.as_ref().map_or(String::new(), |l| format!("trunk {} ", list(l)));
                let native = native.map_or(String::new(), |n| format!("native {n} "));
                l + &native + if *native_tagged { "tagged" } else { "" }
            }
            Mode::Qinq { service, customers: None } => format!("qinq {service}"),
            Mode::Qinq { service, customers: Some(l) } => format!("qinq {service} cvlans {}", list(l)),
        };
        let isolated = if p.isolated { " isolated" } else { "" };
        let patch = p.peer.as_ref().map_or(String::new(), |peer| format!(" patch {peer}"));
        vlans + isolated + &patch
    };
    let one = |number: usize| {
        let members = ports.iter().filter(|(_, p)| p.bridge == number);
        let mut b = bridge(&format!("br{number}"), members.map(|(n, p)| port(n, &words(p))).collect());
        b.ageing_seconds = Some(AGEING[number]);
        let stations = fixed.iter().filter(|((in_bridge, ..), _)| *in_bridge == number);
        b.stations = stations
            .map(|((_, vlan, mac), port)| DraftStation {
                mac: MacAddr(*mac).to_string(),
                port: port.clone(),
                vlan: Some((*vlan).into()),
            })
            .collect();
        b
    };
    (0..BRIDGES).map(one).collect()
}

fn config(cases: u32) -> ProptestConfig {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model.regressions");
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn the_switch_does_what_a_naive_one_does(events in history(), workers in prop::sample::select(&[1usize, 3][..])) {
        let mut pair = Pair::new(workers);
        for event in &events {
            pair.happen(event);
        }
        pair.rig.tear_down();
    }

    /// A small table. Each station speaks at one port; `heard` is (port, station).
    #[test]
    fn limits_hold_and_are_fair(
        heard in prop::collection::vec((0usize..4, 0u8..60), 1..300),
        limit in 4u32..40,
        port_limit in 1u32..12,
    ) {
        let ports = ["a", "b", "c", "d"];
        let words = |name: &str| if name == "d" { format!("maclimit {port_limit}") } else { String::new() };
        let mut b = bridge("br0", ports.iter().map(|n| port(n, &words(n))).collect());
        b.mac_limit = Some(limit);
        let mut rig = Rig::start(
            Setup { pool: PoolSize { small: 512, large: 1 }, ..Default::default() },
            vec![b],
        );
        for (at, station) in heard {
            let (at, source) = (ports[at], mac(station / 4 * 4 + at as u8 + 1));
            let behind = |rig: &Rig, port: &str| {
                let all = rig.stations("br0").into_iter().filter(|(_, p)| p == port);
                all.map(|(key, _)| key).collect::<BTreeSet<_>>()
            };
            let was = ports.map(|p| (behind(&rig, p), rig.counters(p)));
            rig.send(at, &[&[0xff; 6][..], &source, &[0x88, 0xb5], &[0; 46]].concat()[..]);
            let all = rig.stations("br0");
            let knew = was.iter().any(|(s, _)| s.contains(&(1, MacAddr(source))));
            let knows = all.get(&(1, MacAddr(source))).map(String::as_str);
            let refused = rig.counters(at).macs_refused() - was[ports.iter().position(|p| *p == at).unwrap()].1.macs_refused();
            prop_assert!(all.len() <= limit as usize, "{} stations", all.len());
            prop_assert!(behind(&rig, "d").len() <= port_limit as usize);
            prop_assert_eq!(knows.is_none(), refused == 1, "not learned is counted");
            prop_assert!(knows.is_none_or(|p| p == at));
            prop_assert!(!knew || refused == 0, "a known station stays");
            let mine = was[ports.iter().position(|p| *p == at).unwrap()].0.len();
            for (p, (stations, counters)) in ports.iter().zip(&was) {
                let lost = stations.difference(&behind(&rig, p)).count();
                prop_assert_eq!(rig.counters(p).macs_evicted() - counters.macs_evicted(), lost as u64);
                prop_assert!(lost == 0 || stations.len() > mine + 1, "only who has more gives way");
            }
            rig.check_accounts();
        }
        rig.tear_down();
    }
}
