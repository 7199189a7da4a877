//! Values to compute with, and how results are compared.

/// Everyday numbers from -0.4995 to 0.4995, none of which is 0. Parameters and gradients of benchmarks are made of them.
pub fn wave(i: usize) -> f32 {
    (i % 1000) as f32 / 1000.0 - 0.4995
}

/// Zeros of both signs, subnormals, the ends of the range, numbers whose square just leaves it, infinities, NaN, and everyday
/// values between them.
pub const AWKWARD: [f32; 26] = [
    0.0,
    -0.0,
    1e-45,
    -1e-45,
    3e-39,
    -1e-40,
    f32::MIN_POSITIVE,
    1e-30,
    -1e-20,
    1e-20,
    -1e-8,
    0.1,
    -1.0,
    1.0,
    16_777_217.0,
    1e4,
    -1e4,
    1.8e19,
    -2e19,
    1e20,
    -1e25,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// The bits of a number. All NaN have the same bits here, because the machines do not agree on which NaN an invalid operation
/// gives.
pub fn bits_of(x: f32) -> u32 {
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

/// Whether two numbers are equal, as two NaN are here, and as zeros of both signs are.
pub fn equal(x: f32, y: f32) -> bool {
    x == y || x.is_nan() && y.is_nan()
}

/// The distance of `found` from `truth` in units in the last place that `f32` has at `largest`.
pub fn ulps(found: f64, truth: f64, largest: f64) -> f64 {
    let largest = (largest as f32).max(f32::MIN_POSITIVE);
    let ulp = f64::from(f32::from_bits(largest.to_bits() + 1)) - f64::from(largest);
    (found - truth).abs() / ulp
}

#[cfg(feature = "std")]
mod vectors {
    use std::vec::Vec;

    use super::{AWKWARD, bits_of};
    use crate::Random;

    /// The bits of each number.
    pub fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|&x| bits_of(x)).collect()
    }

    /// As many numbers from -1 to 1.
    pub fn signed(len: usize, random: &mut Random) -> Vec<f32> {
        (0..len).map(|_| random.signed()).collect()
    }

    /// As many numbers of [`AWKWARD`].
    pub fn awkward(len: usize, random: &mut Random) -> Vec<f32> {
        (0..len).map(|_| AWKWARD[random.below(AWKWARD.len())]).collect()
    }
}
#[cfg(feature = "std")]
pub use vectors::{awkward, bits, signed};
