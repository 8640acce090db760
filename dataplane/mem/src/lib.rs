//! Packet memory: two regions, cut into equal buffers, mapped once, touched once and never unmapped.
//!
//! A [`Frame`] is a chain of buffers: nearly always one *small* one (2 KiB, a chunk of what AF_XDP calls
//! a UMEM, so that a frame received on one NIC leaves by another without a copy); for a 64 KiB segment
//! offload frame a small one and a *large* one behind it; for an AF_XDP jumbo frame several small ones.
//! Why chains: `docs/adr/0003-frames-are-chains.md`.
//!
//! ```text
//!  small |<-------------------------- 2048 -------------------------->|
//!        | header 64 | headroom 192    | data              | tailroom |
//!                                      ^head               ^head+len
//!  large | header 64 | data, up to 65,536                             |
//! ```
//!
//! Because the regions live as long as the process, a [`Frame`] cannot outlive them, and nothing here is
//! `unsafe` to call but the two functions that hand buffers to the kernel and take them back.
//!
//! A piece of a chain can also be *lent*: its data is a guest's and stays where it is (`loan`).
//!
//! Beside packets: [`table`], the memory that lookup tables lie in.
//!
//! Thread-safety: a [`FramePool`] is shared, behind a lock that a worker takes once per 64 frames. A
//! [`FrameCache`] belongs to one thread. A [`Frame`] is the only handle to its bytes and may move
//! between threads.
#![allow(unsafe_code)] // this crate is one of the addresses of `unsafe`

mod cache;
mod frame;
mod loan;
mod meta;
mod offload;
mod pool;
mod region;
pub mod table;

pub use cache::FrameCache;
pub use frame::{Frame, NoRoom};
pub use offload::{Csum, Gso, GsoKind, Offload};
pub use pool::{FramePool, PoolSize};

use arrayvec::ArrayVec;

/// Bytes of a small buffer. AF_XDP allows 2048 or 4096; a 1522-byte frame and its headroom fit in 2048.
pub const SMALL: usize = 2048;
/// Bytes of data that a large buffer holds: the rest of the largest IP packet and then some.
pub const LARGE: usize = 65_536;
/// Bytes in front of received data, header included: the kernel's XDP_PACKET_HEADROOM, which AF_XDP
/// leaves alone.
pub const HEADROOM: usize = 256;
/// Bytes of data that a small buffer takes.
pub const SMALL_DATA: usize = SMALL - HEADROOM;
/// Bytes of the longest frame: 65,535 of IP (RFC 791, 3.1), an Ethernet header and two tags.
pub const MAX_FRAME: usize = 65_535 + 14 + 8;
/// Most frames handled at once.
pub const BATCH: usize = 32;

/// Up to [`BATCH`] frames, in order.
pub type Batch = ArrayVec<Frame, BATCH>;
