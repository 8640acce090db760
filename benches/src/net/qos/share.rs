//! How classes share a rate: by weight, by guarantee, by strict priority.

use super::{Lab, PortKind, Protocol, Side, TOLERANCE, off};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::Result;
use std::time::Duration;

/// All classes together: bits a second.
const RATE: f64 = 100e6;
/// What the guaranteed class gets at least.
const MINIMUM: f64 = 20e6;
/// How long strict priority may keep others waiting.
const STARVE: Duration = Duration::from_millis(50);
/// That a thread of the lab gets the processor a little late is not the switch's fault.
const LATE: Duration = Duration::from_millis(5);

const SETTLE: Duration = Duration::from_millis(500);

/// By UDP, because all of it is the switch's doing; by weight also TCP, four streams a class.
pub(crate) fn qos_share(effort: Effort) -> Result<Vec<Row>> {
    let time = Duration::from_secs(effort.seconds.clamp(2, 3).into());
    let mut rows = Vec::new();
    for kind in PortKind::all()? {
        let lab = Lab::new(kind)?;
        for protocol in Protocol::BOTH {
            let ratio = by_weight(&lab, protocol, time)?;
            eprintln!("  {}, {}: {ratio:.3} : 1", kind.name(), protocol.name());
            let name = format!("qos-share, {}, {}, weights 3 : 1", kind.name(), protocol.name());
            rows.push(row(name, "% off", off(ratio, 3.0)).goal_below(TOLERANCE));
        }
        let got = guaranteed(&lab, time)?;
        let name = format!("qos-share, {}, minimum beside eight greedy ones", kind.name());
        rows.push(row(name, "% of it", got / MINIMUM * 100.0).goal_above(100.0 - TOLERANCE));
        let gap = starved(&lab, time)?.as_secs_f64() * 1e3;
        let name = format!("qos-share, {}, longest wait behind strict priority, 50 ms allowed", kind.name());
        rows.push(row(name, "ms", gap).goal_below((STARVE + LATE).as_secs_f64() * 1e3));
    }
    Ok(rows)
}

fn row(name: String, unit: &'static str, value: f64) -> Row {
    Row::alone(name, unit, &Sample::from_iter([value]))
}

/// How many times as much the heavier of two classes gets.
fn by_weight(lab: &Lab, protocol: Protocol, time: Duration) -> Result<f64> {
    lab.set(Side::To, "--sent-to 100m --classes heavy:weight=3:port=5001-5009;light:weight=1")?;
    let streams = match protocol {
        Protocol::Tcp => 4,
        Protocol::Udp => 1,
    };
    let class = |first: u16| -> Result<Vec<_>> {
        (0..streams).map(|i| lab.flow(protocol, first + i, RATE * 1.2)).collect()
    };
    let [heavy, light] = [class(5001)?, class(5011)?];
    interrupt::sleep(SETTLE)?;
    let read = |flows: &[super::Flow]| -> f64 { flows.iter().map(|f| f.arrivals.total() as f64).sum() };
    let before = [read(&heavy), read(&light)];
    interrupt::sleep(time)?;
    let [heavy, light] = [read(&heavy) - before[0], read(&light) - before[1]];
    Ok(heavy / light)
}

/// Bits a second that a class with a minimum and next to no weight gets beside eight that want everything.
fn guaranteed(lab: &Lab, time: Duration) -> Result<f64> {
    let greedy: Vec<_> = (5011..5019).map(|p| format!("g{p}:weight=10:port={p}")).collect();
    let classes = format!("poor:min=20m:weight=1:port=5001;{};rest:weight=1", greedy.join(";"));
    lab.set(Side::To, &format!("--sent-to 100m --classes {classes}"))?;
    let poor = lab.flow(Protocol::Udp, 5001, RATE / 2.0)?;
    let _greedy: Vec<_> =
        (5011..5019).map(|p| lab.flow(Protocol::Udp, p, RATE / 4.0)).collect::<Result<_>>()?;
    interrupt::sleep(SETTLE)?;
    Ok(poor.arrivals.measure(time)? * Protocol::Udp.frame_bits())
}

/// The longest time without a frame for a class behind one that takes all there is.
fn starved(lab: &Lab, time: Duration) -> Result<Duration> {
    // ARP is in a class of its own: a frame of it would take a turn of theirs.
    lab.set(Side::To, "--sent-to 100m --starve 50ms --classes voice:prio:port=5011;poor:weight=1:port=5001")?;
    let poor = lab.flow(Protocol::Udp, 5001, RATE / 10.0)?;
    let _voice = lab.flow(Protocol::Udp, 5011, RATE * 1.2)?;
    interrupt::sleep(SETTLE)?;
    poor.arrivals.reset_gap();
    interrupt::sleep(time)?;
    Ok(poor.arrivals.longest_gap())
}
