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
    /// A second divided by this.
    fraction: u64,
    /// Bits at the least.
    least: u64,
}

/// A policer holds nothing back, so it has to let pass what a TCP stream sends in a round trip: 100 ms, and
/// an initial window of ten segments (RFC 6928).
const POLICED: Auto = Auto { fraction: 10, least: 10 * 1514 * 8 };
/// A shaper makes up for a worker that wakes late: 10 ms, and two frames.
const SHAPED: Auto = Auto { fraction: 100, least: 2 * 1514 * 8 };

fn bits(rate: BitRate, burst: Burst, auto: Auto) -> Limit {
    let burst = match burst {
        Burst::Auto => (rate.get() / auto.fraction).max(auto.least),
        Burst::Bytes(n) => n.saturating_mul(8),
    };
    Limit { rate: rate.get(), burst }
}

/// 100 ms, and ten packets.
fn packets(rate: PacketRate, burst: Option<u32>) -> Limit {
    Limit { rate: rate.get(), burst: burst.map_or((rate.get() / 10).max(10), u64::from) }
}
