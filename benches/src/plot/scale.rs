//! The logarithmic axis: where a ratio is, and which ratios are written beside the axis.
//!
//! It spans less than a decade or hundreds of them. Steps get coarser until their labels do not touch.
//!
//! Thread-safety: plain values.

use super::text::{PLAIN, width};

/// How long the axis is.
pub(super) const AXIS: f64 = 420.0;

/// Whether a logarithmic axis has a place for it.
pub(super) fn drawable(ratio: f64) -> bool {
    ratio.is_finite() && ratio > 0.0
}

/// The logarithmic axis, in decades.
pub(super) struct Scale {
    least: f64,
    most: f64,
    pub(super) left: f64,
}

impl Scale {
    /// From `left`, with a place for each of these ratios. Both sides of 1 are always seen.
    pub(super) fn of(ratios: impl Iterator<Item = f64>, left: f64) -> Self {
        let (least, most) =
            ratios.map(f64::log10).fold((-0.09, 0.09), |(least, most), d| (d.min(least), d.max(most)));
        let room = (most - least) * 0.03;
        Self { least: least - room, most: most + room, left }
    }

    /// Where this ratio is.
    pub(super) fn x(&self, ratio: f64) -> f64 {
        self.left + AXIS * (ratio.log10() - self.least) / (self.most - self.least)
    }

    /// Places and labels, as many as do not touch; 1 is one of them.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        const FINE: [&[&str]; 5] = [
            &[
                "1", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.8", "2", "2.5", "3", "4", "5", "6", "7",
                "8", "9",
            ],
            &["1", "1.2", "1.5", "2", "2.5", "3", "4", "5", "6", "8"],
            &["1", "1.5", "2", "3", "5", "7"],
            &["1", "2", "5"],
            &["1", "3"],
        ];
        let apart = |ticks: &Vec<(f64, String)>| {
            let need = ticks.iter().map(|t| width(&t.1, PLAIN)).fold(0.0, f64::max) + 8.0;
            ticks.windows(2).all(|t| t[1].0 - t[0].0 >= need)
        };
        let fine = FINE.iter().map(|steps| self.candidates(steps, 1));
        let coarse = [1, 2, 5, 10, 20, 50, 100, 200].map(|decades| self.candidates(&["1"], decades));
        fine.chain(coarse).find(apart).unwrap_or_default()
    }

    /// The steps of every so many decades, within the axis.
    fn candidates(&self, steps: &[&str], every: i32) -> Vec<(f64, String)> {
        let decades = self.least.floor() as i32..=self.most.ceil() as i32;
        let all =
            decades.filter(|d| d % every == 0).flat_map(|d| steps.iter().map(move |s| format!("{s}e{d}")));
        let values = all.filter_map(|t| t.parse::<f64>().ok()).filter(|v| drawable(*v));
        values
            .filter(|v| (self.least..=self.most).contains(&v.log10()))
            .map(|v| (self.x(v), if (1e-3..1e4).contains(&v) { format!("{v}x") } else { format!("{v:e}x") }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ratios: &[f64]) -> String {
        let ticks = Scale::of(ratios.iter().copied(), 100.0).ticks();
        assert!(ticks.iter().all(|(x, _)| (100.0..=100.0 + AXIS).contains(x)), "{ticks:?}");
        ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn labels_are_round_and_few_enough_for_any_range() {
        assert_eq!(labels(&[]), "0.9x 1x 1.1x 1.2x");
        assert_eq!(labels(&[0.5, 2.0]), "0.5x 0.6x 0.8x 1x 1.2x 1.5x 2x");
        assert_eq!(labels(&[0.1, 10.0]), "0.1x 0.2x 0.5x 1x 2x 5x 10x");
        assert_eq!(labels(&[20_000.0]), "1x 10x 100x 1000x 1e4x");
        assert_eq!(labels(&[f64::MIN_POSITIVE, f64::MAX]), "1e-300x 1e-200x 1e-100x 1x 1e100x 1e200x 1e300x");
    }

    #[test]
    fn the_same_factor_is_the_same_length_anywhere() {
        let scale = Scale::of([0.3, 40.0].into_iter(), 7.0);
        let double = |r: f64| scale.x(2.0 * r) - scale.x(r);
        assert!((double(0.3) - double(20.0)).abs() < 1e-9);
        assert!(double(1.0) > 0.0);
    }
}
