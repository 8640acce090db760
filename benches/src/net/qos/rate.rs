//! What one stream gets at a configured rate.
//!
//! Complications: the highest rate is a part of what the path does without a limit, and that moves with the
//! machine. So the path is measured without a limit directly before and directly after. If it then did less than
//! the rate, it could not carry it: that is told, and it is tried again with the new figure, [`TRIES`] times in
//! all. The last one counts, whatever the path did; the row then says that the path was too slow.

use super::super::talk;
use super::{B, Lab, PortKind, Protocol, Side, TOLERANCE, off};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::Result;
use std::time::Duration;

/// How long a stream has to find its rate, and bursts to be over; and how long it is measured then.
#[derive(Clone, Copy, Debug)]
struct Times {
    settle: Duration,
    measure: Duration,
}

impl Times {
    const fn new(settle: u64, measure: u64) -> Self {
        Self { settle: Duration::from_millis(settle), measure: Duration::from_millis(measure) }
    }

    /// Without a limit there is nothing to wait for but TCP's start.
    const UNLIMITED: Self = Self::new(300, 500);

    fn of(protocol: Protocol, side: Side, rate: f64) -> Self {
        match (protocol, side) {
            // It goes up and down by the burst of 300 ms: so long that this is no more than the tolerance.
            (Protocol::Tcp, Side::By) => Self::new(1_000, (BURST / TOLERANCE * 100e3) as u64),
            // Its first losses have to be made good: what came after them arrives all at once then.
            (Protocol::Tcp, Side::To | Side::Waits) if rate < SLOW_START => Self::new(3_000, 2_000),
            (Protocol::Tcp, Side::To | Side::Waits) => Self::new(1_000, 1_000),
            (Protocol::Udp, _) if rate < SLOW => Self::new(1_500, 2_000),
            (Protocol::Udp, _) => Self::new(400, 800),
        }
    }
}

/// Below this a frame is a percent of a second: bits a second.
const SLOW: f64 = 2e6;
/// Below this the queue that TCP's start makes takes seconds: bits a second.
const SLOW_START: f64 = 20e6;

/// What a policer lets through at once if nothing was said: seconds at the rate.
const BURST: f64 = 0.3;

/// What is offered by UDP, of the rate. Little more: who sends takes the processor from the switch.
const OFFERED: f64 = 1.15;

/// The lowest rate that there is: bits a second.
const LOWEST: f64 = 1e3;

/// The highest rate, of the unlimited one.
const MOST: f64 = 0.8;

/// How often the highest rate is tried while the path cannot carry it.
const TRIES: u32 = 4;

/// More than any path takes: bits a second.
const FLOOD: f64 = 100e9;

/// For each kind of port, side and protocol: how far the worst of the rates is off.
pub(crate) fn qos_rate(_: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in PortKind::all()? {
        let lab = Lab::new(kind)?;
        for (protocol, side) in Protocol::BOTH.into_iter().flat_map(|p| Side::ALL.map(|s| (p, s))) {
            let (worst, carried) = Stream { lab: &lab, protocol, side }.worst()?;
            let slow = if carried { "" } else { ", path too slow" };
            let name = format!("qos-rate, {}, {}, {}{slow}", kind.name(), side.name(), protocol.name());
            rows.push(Row::alone(name, "% off, worst", &Sample::from_iter([worst])).goal_below(TOLERANCE));
        }
    }
    Ok(rows)
}

/// One stream, and who is limited.
struct Stream<'a> {
    lab: &'a Lab,
    protocol: Protocol,
    side: Side,
}

impl Stream<'_> {
    /// The largest of the deviations, in percent; and whether the path carried the highest rate.
    fn worst(&self) -> Result<(f64, bool)> {
        let fixed: &[f64] = match self.protocol {
            Protocol::Tcp => &[1e6, 10e6, 100e6, 1e9],
            Protocol::Udp => &[1e6, 100e6],
        };
        let (most, mut worst, carried) = self.highest()?;
        for rate in fixed.iter().copied().filter(|r| *r < most) {
            worst = worst.max(off(self.limited(rate)?, rate));
        }
        Ok((worst, carried))
    }

    /// The highest rate, how far it is off in percent, and whether the path carried it.
    fn highest(&self) -> Result<(f64, f64, bool)> {
        let mut before = self.unlimited()?;
        let mut tries = 1;
        loop {
            let rate = before * MOST;
            let off = off(self.limited(rate)?, rate);
            let after = self.unlimited()?;
            let carried = after >= rate;
            if carried || tries == TRIES {
                return Ok((rate, off, carried));
            }
            self.tell(&format!("the path does not carry {:.0} Mbit/s any more: again", rate / 1e6));
            (before, tries) = (after, tries + 1);
        }
    }

    /// Bits of frames a second at this rate.
    fn limited(&self, rate: f64) -> Result<f64> {
        if matches!(self.side, Side::By) {
            // No burst is to be measured. A change keeps the tokens that there are since the first frame, and those of the
            // lowest rate are as good as none.
            self.lab.set(self.side, &self.side.limit(LOWEST))?;
            talk::answers(&self.lab.rooms.a, &B.to_string())?;
        }
        self.lab.set(self.side, &self.side.limit(rate))?;
        let got = self.goodput(rate * OFFERED, Times::of(self.protocol, self.side, rate))?;
        self.lab.set(self.side, "--no-qos")?;
        let off = (got / rate - 1.0) * 100.0;
        self.tell(&format!("{:.0} Mbit/s: {:.3} Mbit/s ({off:+.2} %)", rate / 1e6, got / 1e6));
        Ok(got)
    }

    /// The same without a limit.
    fn unlimited(&self) -> Result<f64> {
        let got = self.goodput(FLOOD, Times::UNLIMITED)?;
        self.tell(&format!("unlimited: {:.0} Mbit/s", got / 1e6));
        Ok(got)
    }

    /// Bits of frames a second whose payload arrived.
    fn goodput(&self, offered: f64, times: Times) -> Result<f64> {
        interrupt::check()?;
        let flow = self.lab.flow(self.protocol, 5001, offered)?;
        interrupt::sleep(times.settle)?;
        Ok(flow.arrivals.measure(times.measure)? * self.protocol.frame_bits())
    }

    fn tell(&self, what: &str) {
        let Self { lab, protocol, side } = self;
        eprintln!("  {}, {}, {}, {what}", lab.kind.name(), side.name(), protocol.name());
    }
}
