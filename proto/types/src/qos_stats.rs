//! What quality of service did to the frames of one port: the numbers behind `vswctl qos show`.
//!
//! Plain data: the packet path fills it, the daemon translates it to `vsw.v1.PortQosStats`. Bytes are counted
//! as rates count them, see [`crate::BitRate`].

use crate::DropReason;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// After segmentation.
    pub packets: u64,
    pub bytes: u64,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QosStats {
    /// `None`: what the attached side sends is not policed.
    pub sent_by: Option<PolicerStats>,
    /// `None`: what the attached side sends does not wait.
    pub sent_by_queue: Option<ClassStats>,
    /// Broadcast, multicast and unknown unicast sent by the attached side.
    pub storm: [StormStats; 3],
    /// In the order of the configured classes, each of them; empty: what is sent to the attached side is not
    /// queued by class.
    pub classes: Vec<ClassStats>,
}

/// By colour (RFC 2697, RFC 2698, RFC 4115).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicerStats {
    pub green: Count,
    pub yellow: Count,
    pub red: Count,
    /// Of all colours, what was dropped.
    pub dropped: Count,
    /// Packets that left with another drop precedence.
    pub remarked: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StormStats {
    pub passed: Count,
    pub dropped: Count,
}

/// One class of what is sent to the attached side, or all that it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Left the queue.
    pub sent: Count,
    /// Packets, by reason; reasons without any may be left out.
    pub drops: Vec<(DropReason, u64)>,
    /// Packets that were marked "congestion experienced" (RFC 3168).
    pub ecn_marked: u64,
    /// Waiting now.
    pub queue_packets: u64,
    pub queue_bytes: u64,
    /// Most that ever waited.
    pub queue_bytes_max: u64,
    /// Nanoseconds that the last frame waited, and the longest wait.
    pub delay_ns: u64,
    pub delay_ns_max: u64,
}
