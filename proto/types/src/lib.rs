//! The words both halves speak: addresses, VLANs, names, rates, markings, port indices, time, reasons for
//! a drop, counters.
//!
//! Every type here can only hold a legal value; who holds one never checks again. Nothing here does
//! I/O or reads a clock. All types are plain data and free to share between threads.
#![forbid(unsafe_code)]

mod drop;
mod ident;
mod label;
mod mac;
mod marking;
mod name;
mod qos_stats;
mod quantity;
mod text;
mod vlan;

pub use drop::{Direction, DropReason};
pub use ident::{Generation, MAX_PORTS, Now, PortIdx};
pub use label::{BadLabel, Label};
pub use mac::{BadMac, Mac48, MacAddr};
pub use marking::{BadMarking, Dscp, Pcp};
pub use name::{BadName, Name};
pub use qos_stats::{ClassStats, Count, PolicerStats, QosStats, StormStats};
pub use quantity::{BadRate, BitRate, PacketRate, Rate, bytes, show_bytes, show_span, span};
pub use vlan::{BadVlanId, BadVlanList, VlanId, VlanSet};
