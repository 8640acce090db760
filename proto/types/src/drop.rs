//! Why a frame died. Every drop in the switch has exactly one of these, and a counter.
//!
//! One list makes the enum, the names that users and metrics see, and the explanations; a reason that
//! has no counter cannot be written down. Names are part of the API: they are never reused or renamed.

/// Where on its way the frame was, seen from the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Received from the port: sent by the attached side.
    Rx,
    /// On its way out of the port: to be sent to the attached side.
    Tx,
}

impl Direction {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        }
    }
}

macro_rules! drop_reasons {
    ($($variant:ident $name:literal $text:literal,)*) => {
        /// Why a frame was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason { $(#[doc = $text] $variant,)* }

        impl DropReason {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            pub const COUNT: usize = Self::ALL.len();

            /// As `vswctl drops` prints it and metrics label it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// One sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

drop_reasons! {
    // What came from the wire and makes no sense.
    Runt "runt" "shorter than an Ethernet header (14 bytes)",
    TruncatedTag "truncated-tag" "ends inside a VLAN tag",
    OverLong "over-long" "longer than a frame can be, or cut by the kernel on the way here",
    BadOffload "bad-offload" "the virtio-net header contradicts the frame (checksum or segmentation fields)",
    GroupSource "group-source" "the source address is a group address, or all zero",
    // What the bridge's rules forbid.
    ReservedAddress "reserved-address" "sent to 01-80-C2-00-00-00..0F, which a bridge does not forward",
    TaggedOnAccess "tagged-on-access" "tagged, but the port is an access port",
    VlanNotAllowed "vlan-not-allowed" "its VLAN is not allowed on the port",
    NoNativeVlan "no-native-vlan" "untagged, but the port has no native VLAN",
    NestedTag "nested-tag" "carries a second tag that would become the outer one (VLAN hopping)",
    CvlanNotAllowed "cvlan-not-allowed" "its customer VLAN is not among the port's",
    Hairpin "hairpin" "the destination is behind the port it came from",
    Isolated "isolated" "both ports are isolated",
    NoDestination "no-destination" "flooded, but no other port is in its VLAN",
    // What quality of service holds back.
    Policed "policed" "above the rate that the attached side may send at",
    StormBroadcast "storm-broadcast" "broadcast, above the port's storm limit",
    StormMulticast "storm-multicast" "multicast, above the port's storm limit",
    StormUnknown "storm-unknown" "to an unknown station, above the port's storm limit",
    ClassFull "class-full" "the queue of its class is full",
    ClassDelay "class-delay" "CoDel: the queue of its class kept frames waiting for too long",
    // What the way out cannot take.
    TooBig "too-big" "larger than the MTU of the port it was to leave by",
    TxFull "tx-full" "the queue of the port it was to leave by is full",
    TxError "tx-error" "the kernel refused to send it",
    NoGuest "no-guest" "no guest is connected to the port it was to leave by, or its driver is not up",
    NotForwarding "not-forwarding" "came while its port was being added or removed",
    PortGone "port-gone" "the port went away while the frame was inside",
    PatchLoop "patch-loop" "crossed too many patch ports: a loop of bridges",
    // What the switch ran out of.
    NoFrame "no-frame" "no free frame in the pool",
    NoHeadroom "no-headroom" "no room in front of the frame for a tag",
    MeshFull "mesh-full" "the worker that owns the port to leave by is behind",
    KernelQueueFull "kernel-queue-full" "the kernel's receive queue overflowed before the switch read it",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_indices_dense() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::COUNT);
        for (i, r) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*r as usize, i);
        }
    }
}
