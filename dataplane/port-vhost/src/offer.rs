//! What is offered to a front end.
//!
//! Of the virtio features, those count that a front end leaves to its back end: `user_feature_bits` in QEMU's
//! `net/vhost-user.c`. Control-queue bits are there because some front ends serve that queue themselves and
//! still ask whether they may. No UFO: nothing here segments it.

use crate::features::{
    GUEST_CSUM, GUEST_ECN, GUEST_TSO4, GUEST_TSO6, GUEST_USO4, GUEST_USO6, LOG_ALL, MRG_RXBUF, VERSION_1,
};
use crate::ring::{F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED};

// Virtio 1.2, 5.1.3.
const CSUM: u64 = 1 << 0;
const MTU: u64 = 1 << 3;
const HOST_TSO4: u64 = 1 << 11;
const HOST_TSO6: u64 = 1 << 12;
const HOST_ECN: u64 = 1 << 13;
const STATUS: u64 = 1 << 16;
const CTRL_VQ: u64 = 1 << 17;
const CTRL_RX: u64 = 1 << 18;
const CTRL_VLAN: u64 = 1 << 19;
const GUEST_ANNOUNCE: u64 = 1 << 21;
const MQ: u64 = 1 << 22;
const HOST_USO: u64 = 1 << 56;
// Virtio 1.2, 6 and 6.3.
const ANY_LAYOUT: u64 = 1 << 27;
const IN_ORDER: u64 = 1 << 35;
/// The protocol has features of its own.
pub(crate) const PROTOCOL_FEATURES: u64 = 1 << 30;

/// Virtio features, and two of the protocol.
pub(crate) const FEATURES: u64 = CSUM
    | GUEST_CSUM
    | MTU
    | GUEST_TSO4
    | GUEST_TSO6
    | GUEST_ECN
    | HOST_TSO4
    | HOST_TSO6
    | HOST_ECN
    | MRG_RXBUF
    | STATUS
    | CTRL_VQ
    | CTRL_RX
    | CTRL_VLAN
    | GUEST_ANNOUNCE
    | MQ
    | GUEST_USO4
    | GUEST_USO6
    | HOST_USO
    | LOG_ALL
    | PROTOCOL_FEATURES
    | ANY_LAYOUT
    | F_INDIRECT_DESC
    | F_EVENT_IDX
    | VERSION_1
    | F_RING_PACKED
    | IN_ORDER;

/// Vhost-user protocol, "Protocol features".
pub(crate) mod protocol {
    pub(crate) const MQ: u64 = 1 << 0;
    pub(crate) const LOG_SHMFD: u64 = 1 << 1;
    pub(crate) const RARP: u64 = 1 << 2;
    pub(crate) const REPLY_ACK: u64 = 1 << 3;
    pub(crate) const MTU: u64 = 1 << 4;
    pub(crate) const INFLIGHT_SHMFD: u64 = 1 << 12;
    pub(crate) const RESET_DEVICE: u64 = 1 << 13;
    pub(crate) const CONFIGURE_MEM_SLOTS: u64 = 1 << 15;
    pub(crate) const STATUS: u64 = 1 << 16;

    pub(crate) const FEATURES: u64 = MQ
        | LOG_SHMFD
        | RARP
        | REPLY_ACK
        | MTU
        | INFLIGHT_SHMFD
        | RESET_DEVICE
        | CONFIGURE_MEM_SLOTS
        | STATUS;
}

/// The guest's rings, in a few words for `show`.
pub(crate) fn words(features: u64) -> String {
    let ring = if features & F_RING_PACKED != 0 { "packed" } else { "split" };
    let mrg = if features & MRG_RXBUF != 0 { ", mrg" } else { "" };
    format!("{ring}{mrg}")
}
