//! What the switch thread is asked and told.

use tokio::sync::oneshot;
use vsw_api::v1;
use vsw_config::Config;
use vsw_engine::Event;
use vsw_types::VlanId;

/// A question goes with the place for its answer. Who asked may be gone by then.
pub(crate) enum Message {
    Check(Config, oneshot::Sender<Vec<v1::Refusal>>),
    Apply(Config, oneshot::Sender<Result<v1::DatapathStatus, Refused>>),
    Status(oneshot::Sender<v1::DatapathStatus>),
    Flush(Scope, oneshot::Sender<Result<u64, Refused>>),
    Macs(Scope, oneshot::Sender<Result<Vec<v1::Mac>, Refused>>),
    Counters(Option<String>, oneshot::Sender<Vec<v1::PortCounters>>),
    QosStats(Option<String>, oneshot::Sender<Vec<v1::PortQosStats>>),
    /// A link of the host changed.
    LinksChanged,
    /// A port changed by itself.
    PortsChanged,
    Worker(Event),
    Stop,
}

/// Stations of a bridge, all or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) bridge: String,
    pub(crate) vlan: Option<VlanId>,
    pub(crate) port: Option<String>,
}

/// Why something was not done; a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NotFound(String),
    /// The configuration is older than the one in force.
    Stale(String),
    /// A bug of ours.
    Broken(String),
}
