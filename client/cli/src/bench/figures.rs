//! What is made of the measurements: rates, medians, percentiles.

use std::time::Duration;

/// What one kind of call did in one slice of time.
#[derive(Debug, Default)]
pub(super) struct Slice {
    /// How long each call that went well took, in microseconds.
    pub(super) micros: Vec<u32>,
    pub(super) failures: u64,
    pub(super) elapsed: Duration,
}

impl Slice {
    /// Calls a second.
    pub(super) fn rate(&self) -> f64 {
        let calls = u32::try_from(self.micros.len()).unwrap_or(u32::MAX);
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { f64::from(calls) / seconds } else { 0.0 }
    }
}

/// The middle one; of an even number the mean of the two in the middle. Nothing has none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let at = |n: usize| values.get(n).copied().unwrap_or_default();
    if values.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
}

/// To so many parts of one: what lies beyond is noise.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// The value that so many in a hundred do not exceed.
pub(super) fn percentile(sorted: &[u32], hundredth: usize) -> u64 {
    let rank = (sorted.len() * hundredth).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }

    #[test]
    fn percentiles_are_ranks() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(
            (percentile(&hundred, 50), percentile(&hundred, 99), percentile(&hundred, 100)),
            (50, 99, 100)
        );
        assert_eq!(percentile(&[7], 99), 7);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn a_slice_of_no_time_has_no_rate() {
        assert!(Slice::default().rate().abs() < f64::EPSILON);
        let slice = Slice { micros: vec![1; 500], failures: 0, elapsed: Duration::from_millis(250) };
        assert!((slice.rate() - 2000.0).abs() < 1e-6);
    }
}
