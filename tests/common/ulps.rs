//! How far a number is from the truth.

/// The distance of `found` from `truth` in units in the last place that `f32` has at `largest`.
pub fn ulps(found: f64, truth: f64, largest: f64) -> f64 {
    let largest = (largest as f32).max(f32::MIN_POSITIVE);
    let ulp = f64::from(f32::from_bits(largest.to_bits() + 1)) - f64::from(largest);
    (found - truth).abs() / ulp
}
