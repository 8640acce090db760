//! The words both halves speak: addresses, VLANs, names, port indices, time, reasons for a drop.
//!
//! Every type here can only hold a legal value; who holds one never checks again. Nothing here does
//! I/O or reads a clock. All types are plain data and free to share between threads.
#![forbid(unsafe_code)]

mod drop;
mod ident;
mod mac;
mod name;
mod vlan;

pub use drop::{Direction, DropReason};
pub use ident::{Generation, MAX_PORTS, Now, PortIdx};
pub use mac::{BadMac, Mac48, MacAddr};
pub use name::{BadName, Name};
pub use vlan::{BadVlanId, BadVlanList, VlanId, VlanSet};
