//! What is known of a gradient before the step.

use crate::numbers::{exact_sum::ExactSum, math::sqrt};

/// What a pass knows of a gradient before the step: exact sums, so that those of shards can be put together in any order,
/// with the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GradSums {
    pub(crate) squares: ExactSum,
    pub(crate) non_finite: u64,
}

impl GradSums {
    /// Adds what another shard, or another tensor, has.
    pub fn merge(&mut self, other: &Self) {
        self.squares.merge(&other.squares);
        self.non_finite += other.non_finite;
    }

    /// The norm, of the gradient as it is before it is clipped by norm.
    #[must_use]
    pub fn norm(&self) -> f64 {
        sqrt(self.squares.total())
    }

    /// Returns how many elements are NaN or infinite.
    #[must_use]
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }
}
