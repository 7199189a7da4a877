//! Many noisy numbers as one, with what it may be off by.

use std::fmt;

/// Median, and the range in which eight of ten values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[(part * (values.len() - 1) as f64).round() as usize];
        Self { low: at(0.1), median: at(0.5), high: at(0.9) }
    }
}

/// As percentages.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = [self.low, self.median, self.high].map(|part| 100.0 * part);
        write!(f, "{median:.1} ({low:.1}..{high:.1})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_of_ten_are_within() {
        let spread = Spread::of((0..=10).rev().map(f64::from));
        assert_eq!(spread, Spread { low: 1.0, median: 5.0, high: 9.0 });
        assert_eq!(Spread::of([0.5].into_iter()).to_string(), "50.0 (50.0..50.0)");
    }
}
