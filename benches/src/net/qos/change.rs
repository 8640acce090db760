//! A rate that is changed while a stream runs: how long until the new one holds.
//!
//! The receiving interface's own count is looked at: TCP hands payload on in order, and so in bursts after a
//! loss. The sender does no segmentation offload, so that frames are counted as the rate counts them.

use super::super::process::finish;
use super::flow::{Arrivals, BUCKET, Receiver};
use super::{Lab, PortKind, Protocol, Side, off};
use crate::plot::{Line, Point};
use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::Result;
use std::time::{Duration, Instant};

/// The rate at first, and what it becomes, in bits a second.
const RATES: [f64; 5] = [100e6, 20e6, 200e6, 50e6, 100e6];

/// How long each is in force.
const HOLD: Duration = Duration::from_millis(700);

/// A rate holds from the first of these on after which none is more than so many percent off.
const WINDOW: usize = 10;
const HOLDS: f64 = 5.0;

/// Rounds at most.
const ROUNDS: usize = 2;

/// For each kind of port, side and protocol.
pub(crate) fn qos_change(effort: Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for kind in PortKind::all()? {
        let lab = Lab::new(kind)?;
        let off = ["-K", "e0", "tso", "off", "gso", "off"];
        finish(lab.rooms.a.command("ethtool").args(off))?;
        for (side, protocol) in Side::ALL.into_iter().flat_map(|s| Protocol::BOTH.map(|p| (s, p))) {
            let name = format!("qos-change, {}, {}, {}", kind.name(), side.name(), protocol.name());
            let (mut times, line) = changes(&lab, side, protocol, &name)?;
            for _ in 1..effort.rounds.min(ROUNDS) {
                times.extend(changes(&lab, side, protocol, &name)?.0);
            }
            eprintln!("  {name}: {times:.0?} ms");
            rows.push(Row::alone(name, "ms", &Sample::from_iter(times)).goal_below(100.0).line(line));
        }
    }
    Ok(rows)
}

/// Milliseconds from the command until the new rate holds, for each change; and all of it as a line.
fn changes(lab: &Lab, side: Side, protocol: Protocol, name: &str) -> Result<(Vec<f64>, Line)> {
    let profile =
        |verb: &str, rate: f64| lab.switch.vsw.ctl(&format!("{verb} live {}", side.limit(rate))).map(drop);
    profile("add-qos", RATES[0])?;
    lab.set(side, "--qos live")?;
    let seen = Receiver::interface(&lab.rooms.b, "e0")?;
    let _flow = lab.flow(protocol, 5001, 250e6)?;
    let arrivals = &seen.arrivals;
    let begin = Instant::now() + Duration::from_millis(300);
    interrupt::sleep(begin - Instant::now() + HOLD)?;
    let mut told = vec![(begin, RATES[0])];
    for rate in &RATES[1..] {
        told.push((Instant::now(), *rate));
        profile("set-qos", *rate)?;
        interrupt::sleep((told[told.len() - 1].0 + HOLD).saturating_duration_since(Instant::now()))?;
    }
    let end = Instant::now();
    lab.set(side, "--no-qos")?;
    lab.switch.vsw.ctl("del-qos live")?;
    let until = told[1..].iter().skip(1).map(|(at, _)| *at).chain([end]);
    let times = told[1..].iter().zip(until);
    let times = times.map(|((at, rate), until)| holds(arrivals, *at, until, *rate)).collect();
    let seconds = |at: Instant| at.saturating_duration_since(begin).as_secs_f64();
    let measured = (arrivals.bucket(begin)..arrivals.bucket(end)).map(|bucket| Point {
        seconds: seconds(arrivals.begin(bucket)),
        rate: arrivals.rate(bucket, bucket + 1) / 1e6,
    });
    let wanted = told.iter().map(|(at, rate)| Point { seconds: seconds(*at), rate: rate / 1e6 }).collect();
    Ok((times, Line { name: name.into(), wanted, measured: measured.collect() }))
}

/// Milliseconds after `from` from which on the rate holds until `to`; as long as all of it if it does not.
fn holds(arrivals: &Arrivals, from: Instant, to: Instant, rate: f64) -> f64 {
    let (first, end) = (arrivals.bucket(from), arrivals.bucket(to));
    let bad = |start: &usize| {
        let got = arrivals.rate(*start, start + WINDOW);
        off(got, rate) > HOLDS
    };
    let since = match (first..end - WINDOW).rev().find(bad) {
        Some(last) if last + 1 == end - WINDOW => end,
        Some(last) => last + 1,
        None => first,
    };
    (BUCKET * (since - first) as u32).as_secs_f64() * 1e3
}
