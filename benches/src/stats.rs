//! What a set of measured values says: medians, with their spread. Plain values.

/// Values of one quantity, one per round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// NaN is no value.
    pub(crate) fn push(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let at = self.0.partition_point(|v| *v < value);
        self.0.insert(at, value);
    }

    /// The middle value, or the mean of the two; NaN of nothing.
    pub(crate) fn median(&self) -> f64 {
        let n = self.0.len();
        if n == 0 {
            return f64::NAN;
        }
        (self.0[(n - 1) / 2] + self.0[n / 2]) / 2.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The value below which 99 of 100 lie.
    pub(crate) fn p99(&self) -> f64 {
        let at = (self.0.len() * 99).div_ceil(100).saturating_sub(1);
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        let mut s: Sample = [3.0, 1.0, 2.0].into_iter().collect();
        assert_eq!((s.median(), s.min(), s.max(), s.p99()), (2.0, 1.0, 3.0, 3.0));
        s.push(10.0);
        assert_eq!((s.median(), s.max()), (2.5, 10.0));
        let s: Sample = (1..=1000).map(f64::from).collect();
        assert_eq!(s.p99(), 990.0);
        assert!(Sample::default().median().is_nan());
    }
}
