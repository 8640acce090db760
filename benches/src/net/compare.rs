//! Ours and its peers in turn, round by round.

use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result};

/// A quantity that all are measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) row: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// The least ratio to reach beside the peer of this name.
    pub(crate) goals: &'static [(&'static str, f64)],
}

impl Metric {
    pub(crate) const fn new(row: &'static str, unit: &'static str, better: Better) -> Self {
        Self { row, unit, better, goals: &[] }
    }

    pub(crate) const fn goals(mut self, goals: &'static [(&'static str, f64)]) -> Self {
        self.goals = goals;
        self
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Better {
    More,
    Less,
    /// Told, not compared.
    Neither,
}

/// Another one: its name, and a round of it if it is installed.
pub(crate) struct Peer<'a, const N: usize> {
    pub(crate) name: &'static str,
    pub(crate) round: Option<&'a dyn Fn() -> Result<[f64; N]>>,
}

/// What was measured of one peer.
struct Values<const N: usize> {
    theirs: [Sample; N],
    ratios: [Sample; N],
    /// Why there is nothing (more) of it.
    failure: Option<String>,
}

/// Rounds of all, A B C A B C; for each metric a row per peer. A quantity that could not be had is NaN, and
/// left out. A peer that fails is named with the reason, and not asked again.
pub(crate) fn compare<const N: usize>(
    effort: Effort,
    metrics: [Metric; N],
    ours: impl Fn() -> Result<[f64; N]>,
    peers: &[Peer<'_, N>],
) -> Result<Vec<Row>> {
    let mut mine: [Sample; N] = std::array::from_fn(|_| Sample::default());
    let mut others: Vec<Values<N>> = peers.iter().map(|_| Values::new()).collect();
    for round in 1..=effort.rounds {
        interrupt::check()?;
        let values = ours().context("our switch")?;
        eprintln!("  round {round}: ours {values:.3?}");
        mine.iter_mut().zip(values).for_each(|(sample, v)| sample.push(v));
        for (peer, known) in peers.iter().zip(&mut others) {
            let (Some(theirs), None) = (peer.round, &known.failure) else { continue };
            interrupt::check()?;
            match theirs() {
                Ok(theirs) => {
                    eprintln!("  round {round}: {} {theirs:.3?}", peer.name);
                    known.add(&metrics, values, theirs);
                }
                Err(e) => {
                    eprintln!("  round {round}: {} failed: {e:#}", peer.name);
                    known.failure = Some(format!("{e:#}"));
                }
            }
        }
    }
    let row = |(i, metric): (usize, &Metric)| {
        let row = Row::alone(metric.row, metric.unit, &mine[i]);
        if peers.is_empty() {
            return vec![row];
        }
        // What a benchmark measures first is what it is about.
        let row = if i == 0 { row.drawn() } else { row };
        peers.iter().zip(&others).map(|(peer, known)| known.row(i, metric, peer, row.clone())).collect()
    };
    Ok(metrics.iter().enumerate().flat_map(row).collect())
}

impl<const N: usize> Values<N> {
    fn new() -> Self {
        let none = || std::array::from_fn(|_| Sample::default());
        Self { theirs: none(), ratios: none(), failure: None }
    }

    fn add(&mut self, metrics: &[Metric; N], ours: [f64; N], theirs: [f64; N]) {
        for i in 0..N {
            self.theirs[i].push(theirs[i]);
            self.ratios[i].push(match metrics[i].better {
                Better::Less => theirs[i] / ours[i],
                _ => ours[i] / theirs[i],
            });
        }
    }

    fn row(&self, i: usize, metric: &Metric, peer: &Peer<'_, N>, row: Row) -> Row {
        let row = match (peer.round, &self.failure, metric.better) {
            (None, ..) => row.without(peer.name, "not installed"),
            (_, Some(why), _) if self.theirs[i].is_empty() => row.without(peer.name, why),
            (_, _, Better::Neither) => row.beside_only(peer.name, &self.theirs[i]),
            _ => row.beside(peer.name, &self.theirs[i], &self.ratios[i]),
        };
        match metric.goals.iter().find(|(name, _)| *name == peer.name) {
            Some((_, goal)) => row.goal_ratio(*goal),
            None => row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn each_metric_has_a_row_for_each_peer() {
        let metrics = [
            Metric::new("rate", "Mpps", Better::More).goals(&[("a", 2.0)]),
            Metric::new("time", "us", Better::Less),
        ];
        let failed = Cell::new(0);
        let fine = || Ok([1.0, 10.0]);
        let broken = || {
            failed.set(failed.get() + 1);
            anyhow::bail!("no such thing")
        };
        let peers = [
            Peer { name: "a", round: Some(&fine) },
            Peer { name: "b", round: Some(&broken as &dyn Fn() -> Result<[f64; 2]>) },
            Peer { name: "c", round: None },
        ];
        let effort = Effort { rounds: 3, seconds: 1, samples: 1 };
        let rows = compare(effort, metrics, || Ok([3.0, 5.0]), &peers).unwrap();
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(rows.len(), 6);
        assert_eq!((&json[0]["ratio"], &json[0]["met"]), (&3.0.into(), &true.into()));
        assert_eq!((&json[3]["ratio"], &json[3]["goal"]), (&2.0.into(), &serde_json::Value::Null));
        assert_eq!(json[1]["peer"], "b: no such thing");
        assert_eq!(
            (&json[5]["peer"], &json[5]["ratio"]),
            (&"c: not installed".into(), &serde_json::Value::Null)
        );
        assert_eq!(failed.get(), 1, "asked once");
    }
}
