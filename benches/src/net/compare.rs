//! Ours and a peer in turn, round by round.

use crate::report::Row;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result};

/// A quantity that both are measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) row: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Better {
    More,
    Less,
    /// Told, not compared.
    Neither,
}

/// The other one: its name, and a round of it if it is installed.
pub(crate) struct Peer<'a, const N: usize> {
    pub(crate) name: &'static str,
    pub(crate) round: Option<&'a dyn Fn() -> Result<[f64; N]>>,
}

/// Rounds of both, A B A B; one row per metric.
pub(crate) fn compare<const N: usize>(
    effort: Effort,
    metrics: [Metric; N],
    ours: impl Fn() -> Result<[f64; N]>,
    peer: &Peer<'_, N>,
) -> Result<[Row; N]> {
    let mut values: [[Sample; 3]; N] = std::array::from_fn(|_| Default::default());
    for round in 1..=effort.rounds {
        interrupt::check()?;
        let mine = ours().context("our switch")?;
        let theirs = match peer.round {
            Some(theirs) => Some(theirs().context(peer.name)?),
            None => None,
        };
        eprintln!("  round {round}: ours {mine:.3?}, {} {theirs:.3?}", peer.name);
        for (i, [ours, others, ratios]) in values.iter_mut().enumerate() {
            ours.push(mine[i]);
            if let Some(theirs) = theirs {
                others.push(theirs[i]);
                ratios.push(match metrics[i].better {
                    Better::Less => theirs[i] / mine[i],
                    _ => mine[i] / theirs[i],
                });
            }
        }
    }
    Ok(std::array::from_fn(|i| {
        let (metric, [ours, others, ratios]) = (metrics[i], &values[i]);
        let row = Row::alone(metric.row, metric.unit, ours);
        match (peer.round, metric.better) {
            (None, _) => row.without(peer.name, "not installed"),
            (Some(_), Better::Neither) => row.beside_only(peer.name, others),
            (Some(_), _) => row.beside(peer.name, others, ratios),
        }
    }))
}
