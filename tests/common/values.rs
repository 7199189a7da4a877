//! Values that arithmetic is known to trip over.

use super::Random;

/// Zeros of both signs, subnormals, the ends of the range, infinities, NaN, and everyday values between them.
pub const AWKWARD: [f32; 24] = [
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
    1e19,
    -1e25,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

pub fn awkward(len: usize, random: &mut Random) -> Vec<f32> {
    (0..len).map(|_| AWKWARD[random.below(AWKWARD.len())]).collect()
}
