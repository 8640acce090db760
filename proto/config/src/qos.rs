//! Quality of service: what a port may send, how what is sent to it is queued, and whose marks are believed.
//!
//! "Sent by" and "sent to" are the attached side's: what a VM sends by its port is *policed* where it enters
//! the switch, or waits there; what is sent to it is *shaped* where it leaves. All rates are of Ethernet frames without
//! preamble, FCS and gap; see [`vsw_types::BitRate`].
//!
//! A [`QosProfile`] is a named object that many ports share, or one that a port has to itself. Ports hold
//! theirs through an `Arc`, so that a changed profile is a changed port: see [`crate::diff`]. Plain values.

mod class;
mod matching;

pub use class::{Class, Codel, Service};
pub use matching::Match;

use std::sync::Arc;
use std::time::Duration;
use vsw_types::{BitRate, Label, PacketRate, Rate};

/// Most classes of one profile, with the one that catches the rest.
pub const MAX_CLASSES: usize = 16;
/// Largest weight of a class.
pub const MAX_WEIGHT: u32 = 1000;
/// Largest burst and queue: bytes.
pub const MAX_BURST: u64 = 10_000_000_000;
/// How long strict priority may keep a waiting class from sending, unless the profile says otherwise.
pub const DEFAULT_STARVE: Duration = Duration::from_millis(100);

/// What quality of service a port has. The default is none at all, and costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortQos {
    /// The name of the shared profile; `None`: the port has one of its own, or none.
    pub name: Option<Label>,
    pub profile: Option<Arc<QosProfile>>,
    pub trust: Trust,
    pub storm: Storm,
}

impl PortQos {
    /// How what is sent to the attached side is shaped, if it is.
    pub fn sent_to(&self) -> Option<&Shaper> {
        self.profile.as_ref()?.sent_to.as_ref()
    }
    /// How what the attached side sends is policed (or waits), if it is.
    pub fn sent_by(&self) -> Option<&Policer> {
        self.profile.as_ref()?.sent_by.as_ref()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QosProfile {
    /// What the attached side sends.
    pub sent_by: Option<Policer>,
    /// What is sent to the attached side.
    pub sent_to: Option<Shaper>,
}

impl QosProfile {
    /// Pairs of classes that ask for the same thing of a frame: the first gets it. A class that names no
    /// condition takes what is left, and overlaps with none.
    pub fn overlaps(&self) -> Vec<(&Label, &Label)> {
        let classes = self.sent_to.as_ref().map(|s| &s.classes[..]).unwrap_or_default();
        let later = |n: usize| classes[n + 1..].iter();
        let pairs = classes.iter().enumerate().flat_map(|(n, a)| later(n).map(move |b| (a, b)));
        pairs.filter(|(a, b)| a.matches.overlaps(&b.matches)).map(|(a, b)| (&a.name, &b.name)).collect()
    }
}

/// How many bytes may pass at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Burst {
    /// As many as one TCP stream needs to reach the rate: the dataplane's choice.
    #[default]
    Auto,
    /// At least a frame of the port's MTU.
    Bytes(u64),
}

/// Colours frames by rate, in colour-blind mode, and drops or marks by colour. A frame must conform to bits
/// and to packets; its colour is the worse of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policer {
    /// At least one of `bits` and `packets` is there.
    pub bits: Option<BitMeter>,
    /// Green or red.
    pub packets: Option<PacketMeter>,
    pub yellow: ColourAction,
    pub red: ColourAction,
}

impl Policer {
    /// Whether what is too much waits, so that nothing is policed.
    pub fn waits(&self) -> bool {
        self.red == ColourAction::Wait
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitMeter {
    pub committed: BitRate,
    pub burst: Burst,
    pub second: Second,
}

/// The second bucket of a three-colour meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// There is none: two colours, green and red.
    None,
    /// RFC 2697: it gets what overflows the first.
    SingleRate { excess_burst: u64 },
    /// RFC 2698: it fills at the peak rate, which is not below the committed one; above it, frames are red.
    TwoRate { peak: BitRate, peak_burst: Burst },
    /// RFC 4115: it fills at a rate of its own, on top of the committed one.
    Differentiated { excess: BitRate, excess_burst: Burst },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMeter {
    pub rate: PacketRate,
    /// Packets; `None`: the dataplane's choice.
    pub burst: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourAction {
    Pass,
    /// Gets the drop precedence of its colour, yellow 2 and red 3, if its DSCP is of assured forwarding
    /// (RFC 2597, RFC 2698); passes as it is otherwise.
    Remark,
    Drop,
    /// Waits until it conforms. Only red frames of a policer that has one rate, in bits, and one burst.
    Wait,
}

impl ColourAction {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Remark => "remark",
            Self::Drop => "drop",
            Self::Wait => "wait",
        }
    }
}

/// Queues by class in front of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaper {
    /// `None`: what the port takes.
    pub max: Option<BitRate>,
    pub burst: Burst,
    /// Longest time that strict priority keeps a waiting class from sending.
    pub starve: Duration,
    /// In the order in which a frame looks for its class: the first that matches has it. 1 to
    /// [`MAX_CLASSES`]; the last, and only the last, matches everything. The sum of their minimums is not
    /// above `max`.
    pub classes: Vec<Class>,
}

/// Which marks on the frames that the attached side sends are believed, when a class is looked for. The
/// marks themselves are not changed by this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// PCP and DSCP are what the frame says.
    #[default]
    Both,
    /// Both count as 0.
    None,
    /// The PCP; the DSCP counts as the class selector of the PCP (RFC 2474, 4.2.2).
    Pcp,
    /// The DSCP; the PCP counts as its upper three bits.
    Dscp,
}

impl Trust {
    pub const ALL: [Self; 4] = [Self::Both, Self::None, Self::Pcp, Self::Dscp];

    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::None => "none",
            Self::Pcp => "pcp",
            Self::Dscp => "dscp",
        }
    }
}

/// Most that the attached side may send of what is flooded; `None`: any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storm {
    pub broadcast: Option<Rate>,
    /// Group addresses but for broadcast.
    pub multicast: Option<Rate>,
    /// To individual addresses of stations that are not known.
    pub unknown: Option<Rate>,
}

impl Storm {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
