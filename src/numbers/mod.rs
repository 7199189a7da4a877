//! Deterministic arithmetic in `f64`: functions, exact sums, random numbers. Nothing here knows SIMD or rules.

pub(crate) mod blocks;
pub(crate) mod exact_sum;
pub(crate) mod math;
pub(crate) mod random;
