//! Whatever is accepted is accepted again when it comes back from the wire or the disk, and means the same.

use crate::{draft, message, v1};
use prost::Message;
use vsw_config::{
    Config, Draft, DraftBridge, DraftClass, DraftMatch, DraftPolicer, DraftPort, DraftProfile, DraftShaper,
};

/// xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
    /// Usually nothing; else one of these.
    fn maybe<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let n = self.below(of.len() as u64 * 2);
        of.get(n as usize).copied()
    }
    fn some(&mut self, of: &[u32]) -> Vec<u32> {
        of.iter().copied().filter(|_| self.below(4) == 0).collect()
    }

    fn class(&mut self) -> DraftClass {
        const NAMES: [&str; 6] = ["voice", "video", "bulk", "rest", "a", "b"];
        DraftClass {
            name: NAMES[self.below(6) as usize].into(),
            matches: DraftMatch {
                pcps: self.some(&[0, 3, 7]),
                dscps: self.some(&[0, 46, 63]),
                vlans: self.maybe(&["10", "1-4094"]).map(str::to_owned),
                ethertypes: self.some(&[0x800, 0xffff, 0x600]),
                protocols: self.some(&[17, 0, 255]),
                ports: self.maybe(&[(1, 65535), (443, 443)]).into_iter().collect(),
            },
            prio: self.below(4) == 0,
            weight: self.maybe(&[1, 1000]),
            min: self.maybe(&[1_000, 400_000_000_000]),
            max: self.maybe(&[1_000, 400_000_000_000]),
            queue_bytes: self.maybe(&[2_000, 1_000_000_000]),
            queue_us: self.maybe(&[100, 10_000_000]),
            codel: self.maybe(&[true, false]),
            codel_target_us: self.maybe(&[10, 5_000, 9_999_999]),
            codel_interval_us: self.maybe(&[11, 100_000, 10_000_000]),
            flows: self.maybe(&[true, false]),
            ecn: self.maybe(&[true, false]),
            set_pcp: self.maybe(&[0, 7]),
            set_dscp: self.maybe(&[0, 63]),
        }
    }

    fn profile(&mut self) -> DraftProfile {
        let rates = [1_000, 5_000_000, 400_000_000_000];
        let bursts = [60, 10_000_000_000];
        let sent_by = DraftPolicer {
            rate: self.maybe(&rates),
            burst: self.maybe(&bursts),
            peak: self.maybe(&rates),
            excess: self.maybe(&rates),
            excess_burst: self.maybe(&bursts),
            packets: self.maybe(&[1, 1_000_000_000]),
            packet_burst: self.maybe(&[1, u32::MAX]),
            yellow: self.maybe(&["pass", "remark", "drop"]).unwrap_or_default().into(),
            red: self.maybe(&["remark", "drop", "wait"]).unwrap_or_default().into(),
        };
        let classes = self.below(4);
        let sent_to = DraftShaper {
            max: self.maybe(&rates),
            min: self.maybe(&rates),
            burst: self.maybe(&bursts),
            starve_us: self.maybe(&[1_000, 100_000, 10_000_000]),
            classes: (0..classes).map(|_| self.class()).collect(),
        };
        DraftProfile {
            name: "p".into(),
            sent_by: (self.below(2) == 0).then_some(sent_by),
            sent_to: (self.below(2) == 0).then_some(sent_to),
        }
    }
}

#[test]
fn what_is_accepted_is_accepted_again() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut classes) = (0, 0);
    for _ in 0..20_000 {
        let profiles = vec![random.profile()];
        let Ok(config) = Config::try_from(Draft { generation: 1, profiles, ..Default::default() }) else {
            continue;
        };
        accepted += 1;
        classes +=
            usize::from(config.profile("p").unwrap().sent_to.as_ref().is_some_and(|s| s.classes.len() > 1));
        let bytes = message(&config).encode_to_vec();
        let again = Config::try_from(draft(v1::Config::decode(&*bytes).unwrap()));
        assert_eq!(again.as_ref(), Ok(&config));
    }
    assert!(accepted > 500 && classes > 20, "only {accepted} of 20,000 were good, {classes} with classes");
}

/// The message of a version that knew no quality of service.
#[test]
fn what_was_recorded_before_there_was_any_is_read_and_written_as_before() {
    #[rustfmt::skip]
    let recorded: &[u8] = &[
        8, 7,                                               // generation 7
        18, 29,                                             // a bridge
            10, 3, b'b', b'r', b'0', 16, 172, 2, 24, 128, 128, 1,
            34, 15,                                         // its port
                10, 4, b't', b'a', b'p', b'0', 18, 3, b't', b'a', b'p', 26, 2, 8, 10,
    ];
    let config = Config::try_from(draft(v1::Config::decode(recorded).unwrap())).unwrap();
    let tap0 = DraftPort { name: "tap0".into(), kind: "tap".into(), ..Default::default() };
    let vlan = vsw_config::DraftVlan { access: Some(10), ..Default::default() };
    let bridges = vec![DraftBridge {
        name: "br0".into(),
        ports: vec![DraftPort { vlan, ..tap0 }],
        ..Default::default()
    }];
    assert_eq!(
        Ok(&config),
        Config::try_from(Draft { generation: 7, bridges, ..Default::default() }).as_ref()
    );
    assert_eq!(message(&config).encode_to_vec(), recorded);
}
