//! Quality of service, compiled: what a port's attached side may send, and how what is sent to it waits.
//!
//! Policing and storm control are stages of the decision and keep their tokens in a [`Guard`]. Shaping is
//! done by whoever owns the port's queue; here is only what it is to do, and which class a frame is of
//! ([`Shaping`]). Automatic sizes are chosen here.

mod guard;
mod shaping;

pub use guard::{Guard, StormKind, Treatment};
pub use shaping::{Rule, Shaping, Traits};
pub use vsw_config::qos::Trust;

use vsw_config::qos::Burst;
use vsw_qos::Limit;
use vsw_types::{BitRate, PacketRate};

/// What a limit without a burst of its own lets through at once: so much time at its rate.
#[derive(Clone, Copy)]
struct Auto {
    millis: u64,
    /// Bits at the least.
    least: u64,
}

/// A policer holds nothing back, so a TCP stream that exceeds it loses the rest of its window at once and
/// falls silent until its retransmission timer ends: 200 ms at the least in Linux (RFC 6298 says 1 s). The
/// tokens of that time must not run over, or the stream never reaches the rate: at 100 ms it got half of it,
/// at 200 ms 0.92, at 300 ms all. At least an initial window of ten segments (RFC 6928).
const POLICED: Auto = Auto { millis: 300, least: 10 * 1514 * 8 };
/// Storms are no TCP: 100 ms, and one frame.
const STORM: Auto = Auto { millis: 100, least: 1514 * 8 };
/// A shaper makes up for a worker that wakes late: 10 ms, and two frames.
const SHAPED: Auto = Auto { millis: 10, least: 2 * 1514 * 8 };

fn bits(rate: BitRate, burst: Burst, auto: Auto) -> Limit {
    let burst = match burst {
        Burst::Auto => (rate.get() / 1000 * auto.millis).max(auto.least),
        Burst::Bytes(n) => n.saturating_mul(8),
    };
    Limit { rate: rate.get(), burst }
}

/// As long as for bits, and ten packets.
fn packets(rate: PacketRate, burst: Option<u32>, auto: Auto) -> Limit {
    let burst = burst.map_or((rate.get() * auto.millis / 1000).max(10), u64::from);
    Limit { rate: rate.get(), burst }
}
