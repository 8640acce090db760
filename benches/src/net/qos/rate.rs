//! What one stream gets at a configured rate.

use super::{Lab, PortKind, Protocol, Side, TOLERANCE, off, typed};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::Result;
use std::time::Duration;

/// How long a stream has to find its rate, and bursts to be over.
const SETTLE: Duration = Duration::from_millis(900);
/// How long it is measured then.
const TIME: Duration = Duration::from_secs(1);
/// Where a frame is a percent of a second both take longer, so many times.
const SLOW: f64 = 2e6;
const SLOWER: u32 = 2;

/// TCP that is policed goes up and down with its retransmission timeout of 200 ms and the burst of 300 ms: what it gets is
/// a matter of seconds. Both take so many times as long.
const UNEVEN: u32 = 5;

/// Of the unshaped rate.
const MOST: f64 = 0.8;

/// More than any path takes: bits a second.
const FLOOD: f64 = 100e9;

/// What is offered by UDP, of the configured rate. Little more: who sends takes the processor from the switch.
const OFFERED: f64 = 1.15;

/// For each kind of port, side and protocol: how far the worst of the rates is off.
pub(crate) fn qos_rate(_: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in PortKind::ALL {
        let lab = Lab::new(kind)?;
        for protocol in Protocol::BOTH {
            let unlimited = goodput(&lab, protocol, FLOOD, 1)?;
            eprintln!("  {}, {}, unlimited: {:.0} Mbit/s", kind.name(), protocol.name(), unlimited / 1e6);
            for side in Side::BOTH {
                let worst = worst(&lab, protocol, side, unlimited * MOST)?;
                let name = format!("qos-rate, {}, {}, {}", kind.name(), side.name(), protocol.name());
                rows.push(Row::alone(name, "% off, worst", &worst).goal_below(TOLERANCE));
            }
        }
    }
    Ok(rows)
}

/// The largest of the deviations, in percent.
fn worst(lab: &Lab, protocol: Protocol, side: Side, most: f64) -> Result<Sample> {
    let rates: &[f64] = match protocol {
        Protocol::Tcp => &[1e6, 10e6, 100e6, 1e9],
        Protocol::Udp => &[1e6, 100e6],
    };
    let mut worst: f64 = 0.0;
    for rate in rates.iter().copied().filter(|r| *r < most).chain([most]) {
        interrupt::check()?;
        lab.set(side, &format!("--{} {}", side.name(), typed(rate)))?;
        let uneven = matches!((protocol, side), (Protocol::Tcp, Side::By));
        let got = goodput(lab, protocol, rate * OFFERED, if uneven { UNEVEN } else { 1 })?;
        eprintln!(
            "  {}, {} {:.0} Mbit/s, {}: {:.3} Mbit/s ({:+.2} %)",
            lab.kind.name(),
            side.name(),
            rate / 1e6,
            protocol.name(),
            got / 1e6,
            (got / rate - 1.0) * 100.0
        );
        worst = worst.max(off(got, rate));
    }
    lab.set(side, "--no-qos")?;
    Ok(Sample::from_iter([worst]))
}

/// Bits of frames a second whose payload arrived.
fn goodput(lab: &Lab, protocol: Protocol, offered: f64, times: u32) -> Result<f64> {
    let flow = lab.flow(protocol, 5001, offered)?;
    let times = times * if offered < SLOW { SLOWER } else { 1 };
    interrupt::sleep(SETTLE * times)?;
    Ok(flow.arrivals.measure(TIME * times)? * protocol.frame_bits())
}
