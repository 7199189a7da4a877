//! How a schedule goes from one factor to another.

use crate::numbers::math::{cos_pi, sqrt};

/// The way from one factor to another; `p` goes from 0 to 1 on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// In a straight line: `1 - p` of the first factor is left.
    Linear,
    /// Along half a cosine wave: `(1 + cos(pi p)) / 2` is left.
    Cosine,
    /// Fast, then slower: `1 - sqrt(p)` is left.
    Sqrt,
}

impl Shape {
    /// Returns what is left of the first factor.
    pub(super) fn left(self, p: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - p,
            Self::Cosine => half_cosine(p),
            Self::Sqrt => 1.0 - sqrt(p),
        }
    }
}

/// `(1 + cos(pi p)) / 2`. The square of the cosine of half the angle is the same, and keeps its digits near 0.
pub(super) fn half_cosine(p: f64) -> f64 {
    let cosine = cos_pi(p / 2.0);
    cosine * cosine
}

/// Returns how much of `steps` is over, from 0 to 1.
pub(super) fn progress(step: u64, steps: u64) -> f64 {
    if step < steps { step as f64 / steps as f64 } else { 1.0 }
}

/// From `from` at 0 to `to` at 1, which it meets exactly.
pub(super) fn mix(from: f64, to: f64, p: f64) -> f64 {
    if p < 1.0 { from + (to - from) * p } else { to }
}
