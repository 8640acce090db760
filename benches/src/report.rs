//! What was measured: a table for people, JSON for machines.
//!
//! A ratio says how many times better we are than the peer, whether better is more or less: 1 is as good.

use crate::plot::{self, Bar, Line};
use crate::stats::Sample;
use serde::Serialize;
use std::fmt;

/// One quantity of ours, beside one peer's or none.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    row: String,
    unit: &'static str,
    ours: f64,
    peer: Option<String>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    goal: Option<f64>,
    met: Option<bool>,
    /// Whether the goal is the least, or what has to be stayed below.
    #[serde(skip)]
    least: bool,
    /// Whether it is in the picture.
    #[serde(skip)]
    drawn: bool,
    /// Least and most of ours, of the peer's and of the ratio.
    #[serde(skip)]
    spread: [Option<(f64, f64)>; 3],
    /// What happened over time.
    #[serde(skip)]
    line: Option<Line>,
}

impl Row {
    /// A quantity of ours alone: its median.
    pub(crate) fn alone(row: impl Into<String>, unit: &'static str, ours: &Sample) -> Self {
        Self {
            row: row.into(),
            unit,
            ours: ours.median(),
            peer: None,
            peer_value: None,
            ratio: None,
            goal: None,
            met: None,
            least: true,
            drawn: false,
            spread: [spread(ours), None, None],
            line: None,
        }
    }

    /// Beside a peer's, round by round; `ratio` of each round.
    pub(crate) fn beside(mut self, peer: impl Into<String>, value: &Sample, ratio: &Sample) -> Self {
        self.peer = Some(peer.into());
        self.peer_value = Some(value.median());
        self.ratio = Some(ratio.median());
        self.spread = [self.spread[0], spread(value), spread(ratio)];
        self
    }

    /// Costs of ours and a peer's that were not taken in pairs.
    pub(crate) fn beside_cost(self, peer: impl Into<String>, value: &Sample) -> Self {
        let ratio = Sample::from_iter([value.median() / self.ours]);
        let mut row = self.beside(peer, value, &ratio);
        row.spread[2] = None;
        row
    }

    /// Beside a peer's, where more is neither better nor worse.
    pub(crate) fn beside_only(mut self, peer: impl Into<String>, value: &Sample) -> Self {
        self.peer = Some(peer.into());
        self.peer_value = Some(value.median());
        self.spread[1] = spread(value);
        self
    }

    /// The peer could not be measured.
    pub(crate) fn without(mut self, peer: &str, why: &str) -> Self {
        self.peer = Some(format!("{peer}: {why}"));
        self
    }

    /// With what happened over time.
    pub(crate) fn line(mut self, line: Line) -> Self {
        self.line = Some(line);
        self
    }

    /// To be in the picture.
    pub(crate) fn drawn(mut self) -> Self {
        self.drawn = true;
        self
    }

    /// The ratio has to be this or more. Such a row is in the picture too.
    pub(crate) fn goal_ratio(mut self, goal: f64) -> Self {
        self.drawn = true;
        self.goal = Some(goal);
        self.met = self.ratio.map(|r| r >= goal);
        self
    }

    /// Our value has to be this or more.
    pub(crate) fn goal_above(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self.met = Some(self.ours >= goal);
        self
    }

    /// Our value has to be less than this.
    pub(crate) fn goal_below(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self.least = false;
        self.met = Some(self.ours < goal);
        self
    }
}

fn spread(sample: &Sample) -> Option<(f64, f64)> {
    Some((sample.min(), sample.max()))
}

/// All rows of one run.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
    context: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), context: context() }
    }

    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(&self.rows)? + "\n")
    }
}

impl Report {
    /// The ratios to peers, drawn. A peer that is missing is named below.
    pub(crate) fn svg(&self) -> String {
        let bar = |r: &Row| {
            Some(Bar {
                group: r.row.clone(),
                peer: r.peer.clone()?,
                unit: r.unit.into(),
                ours: r.ours,
                peer_value: r.peer_value.unwrap_or(f64::NAN),
                // Told beside each other, not compared: not drawn.
                ratio: if r.peer_value.is_some() { r.ratio? } else { f64::NAN },
                ratio_spread: r.spread[2],
                goal: r.goal,
            })
        };
        let bars: Vec<_> = self.rows.iter().filter(|r| r.drawn).filter_map(bar).collect();
        plot::svg(&bars, "How many times better than its peers the switch is", &self.context.join("\n"))
    }
}

impl Report {
    /// Rates against time, drawn.
    pub(crate) fn svg_rates(&self) -> String {
        let lines: Vec<_> = self.rows.iter().filter_map(|r| r.line.as_ref()).collect();
        plot::rates(&lines, "Rates that are changed under a stream", &self.context.join("\n"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "row",
            "unit",
            "ours (min - max)",
            "peer",
            "peer's (min - max)",
            "ratio (min - max)",
            "goal",
            "",
        ];
        let mut lines = vec![head.map(String::from)];
        for r in &self.rows {
            let goal = match r.goal {
                None => String::new(),
                Some(goal) if r.least => format!(">= {goal}"),
                Some(goal) => format!("< {goal}"),
            };
            let met = r.met.map_or("", |met| if met { "met" } else { "MISSED" });
            lines.push([
                r.row.clone(),
                r.unit.into(),
                value(Some(r.ours), r.spread[0]),
                r.peer.clone().unwrap_or_default(),
                value(r.peer_value, r.spread[1]),
                value(r.ratio, r.spread[2]),
                goal,
                met.into(),
            ]);
        }
        let width: [usize; 8] = std::array::from_fn(|i| lines.iter().map(|l| l[i].len()).max().unwrap_or(0));
        for line in &lines {
            let cells = line.iter().zip(width).map(|(cell, w)| format!("{cell:w$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        self.context.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn value(median: Option<f64>, spread: Option<(f64, f64)>) -> String {
    match (median, spread) {
        (None, _) => String::new(),
        (Some(m), None) => number(m),
        (Some(m), Some((min, max))) => format!("{} ({} - {})", number(m), number(min), number(max)),
    }
}

/// Three significant digits.
fn number(v: f64) -> String {
    match v.abs() {
        a if a >= 100.0 => format!("{v:.0}"),
        a if a >= 10.0 => format!("{v:.1}"),
        a if a >= 1.0 || a == 0.0 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    }
}

/// What the figures depend on.
fn context() -> Vec<String> {
    let uname = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':')).map(|(_, m)| m.trim());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let kernel = format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    let machine = format!("{cpus} cores, {}, load {load} at the start", model.unwrap_or("unknown CPU"));
    let versions = crate::net::versions().join(", ");
    vec![format!("vsw {}; {kernel}; {machine}", env!("CARGO_PKG_VERSION")), format!("peers: {versions}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_knows_whether_it_met_its_goal() {
        let s = |v: f64| Sample::from_iter([v]);
        let row = Row::alone("tcp", "Gbit/s", &s(6.0)).beside("bridge", &s(10.0), &s(0.6)).goal_ratio(0.6);
        let json = serde_json::to_value(&row).unwrap();
        let expected = serde_json::json!({
            "row": "tcp", "unit": "Gbit/s", "ours": 6.0, "peer": "bridge", "peer_value": 10.0, "ratio": 0.6,
            "goal": 0.6, "met": true,
        });
        assert_eq!(json, expected);
        assert_eq!(Row::alone("idle", "%", &s(2.0)).goal_below(2.0).met, Some(false));
        let missing = Row::alone("x", "Mpps", &s(1.0)).without("Open vSwitch", "missing").goal_ratio(0.8);
        assert_eq!((missing.met, missing.ratio), (None, None), "never guessed");
    }
}
