//! What can be typed of quality of service. "Sent by" and "sent to" are the attached side's: the help says so
//! wherever a rate is set.

use crate::qos::read;
use clap::{Args as ClapArgs, Subcommand};
use vsw_api::v1::{Policer, QosClass, Shaper, Storm};

/// Examples of `add-qos`.
pub(super) const ADD: &str = "Example:
  vswctl add-qos gold --sent-by 500m --sent-to 1g --burst auto --min 100m
  vswctl add-qos voice+bulk --sent-to 1g \\
    --classes 'voice:prio:dscp=ef,cs5;bulk:weight=3:max=800m;rest:weight=1'
  vswctl add-qos tricolour --sent-by 100m,peak=200m,yellow=remark
  vswctl set-port br0 tap0 --qos gold

Rates are decimal bits per second (100m, 1.5g) or packets per second (20kpps), up
to 400g. They count Ethernet frames without preamble, FCS and gap.

--sent-by: RATE, PPS or both, then any of burst=BYTES, packet-burst=N, and
  excess-burst=BYTES (RFC 2697), peak=RATE (RFC 2698) or excess=RATE (RFC 4115);
  yellow=pass|remark|drop, red=remark|drop|wait; between commas. With red=wait
  what is too much waits in a queue of its flow, as what is sent to a port does
--sent-to: RATE, then any of burst=BYTES, min=RATE, starve=TIME
--classes: NAME, then behind colons what it gets: prio or weight=N, min=RATE,
  max=RATE, queue=BYTES,TIME, codel=off or codel=TARGET,INTERVAL, flows=off,
  ecn=off, set-pcp=N, set-dscp=N; and what it matches, all of it: pcp=, dscp=,
  vlan=, ethertype=, proto=, port=, each with a list

A frame has the first class that it matches: order wins. The last may match
everything; if it does not, rest:weight=1 follows. Classes named voice, video and
bulk that say nothing match the code points of RFC 4594.";

/// Examples of `set-qos`.
pub(super) const SET: &str = "Example:
  vswctl set-qos gold --sent-to 2g
  vswctl set-qos gold --sent-by none
  vswctl set-qos voice+bulk --classes 'voice:prio:dscp=ef;rest'

It is in force on the next frame; tokens and queues are kept.";

#[derive(Debug, ClapArgs)]
pub(crate) struct AddQos {
    /// Name of the profile
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) settings: ProfileSettings,
    /// If it is there and says the same, that is fine
    #[arg(long)]
    pub(crate) may_exist: bool,
}

/// What a profile says, a named one or a port's own.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct ProfileSettings {
    /// Most that the attached side may send, like 500m or 500m,20kpps; or none, for any amount
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, value_parser = sent_by)]
    pub(crate) sent_by: Option<SentBy>,
    /// Most that is sent to the attached side, like 1g; or none, for any amount and no classes
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, value_parser = sent_to)]
    pub(crate) sent_to: Option<SentTo>,
    /// What may pass at once of either: bytes, or auto, as one TCP stream needs it
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = read::burst_or_auto)]
    pub(crate) burst: Option<u64>,
    /// What is guaranteed to be sent to the attached side of what has no class of its own
    #[arg(long, value_name = "RATE", allow_hyphen_values = true, value_parser = read::bits)]
    pub(crate) min: Option<u64>,
    /// Classes of what is sent to the attached side, as in `voice:prio:dscp=ef;rest:weight=1`; or none
    #[arg(long, value_name = "LIST", value_parser = classes)]
    pub(crate) classes: Option<Classes>,
    /// Longest that prio classes may keep others from sending [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = read::micros)]
    pub(crate) starve: Option<u32>,
}

/// What a port says. Its own profile has the same words as a named one.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Quality of service")]
pub(crate) struct PortQosSettings {
    /// QoS profile of the port
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["no_qos", "sent_by", "sent_to", "burst", "min", "classes", "starve"])]
    pub(crate) qos: Option<String>,
    /// No QoS profile, nor one of its own
    #[arg(long, conflicts_with_all = ["sent_by", "sent_to", "burst", "min", "classes", "starve"])]
    pub(crate) no_qos: bool,
    /// A profile of its own, in place of a named one
    #[command(flatten)]
    pub(crate) own: ProfileSettings,
    /// Most that the attached side may send of broadcast, multicast and to unknown stations; or none
    #[arg(long, value_name = "KIND=RATE,..", value_parser = read::storm)]
    pub(crate) storm: Option<Storm>,
    /// Marks that are believed of what the attached side sends: none, pcp, dscp or both [default: both]
    #[arg(long, value_name = "MARKS")]
    pub(crate) trust: Option<String>,
}

/// `None`: `none` was typed.
#[derive(Clone, Debug)]
pub(crate) struct SentBy(pub(crate) Option<Policer>);
#[derive(Clone, Debug)]
pub(crate) struct SentTo(pub(crate) Option<Shaper>);
#[derive(Clone, Debug)]
pub(crate) struct Classes(pub(crate) Vec<QosClass>);

fn sent_by(typed: &str) -> Result<SentBy, String> {
    read::sent_by(typed).map(SentBy)
}
fn sent_to(typed: &str) -> Result<SentTo, String> {
    read::sent_to(typed).map(SentTo)
}
fn classes(typed: &str) -> Result<Classes, String> {
    read::classes(typed).map(Classes)
}

#[derive(Debug, Subcommand)]
pub(crate) enum QosQuery {
    /// Show what was sent by ports, by colour, and sent to them, by class, and what waits
    #[command(
        after_help = "Example:\n  vswctl qos show\n  vswctl qos show tap0 --watch\n  vswctl qos show -o json"
    )]
    Show {
        /// Name of the port [default: all that have any quality of service]
        port: Option<String>,
        /// Again every second, with rates, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
}
