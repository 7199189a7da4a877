//! Factors that a single `f32` cannot hold, or not with all of its digits.

use crate::simd::lane::Lane;

/// A factor on gradients, whatever its size, as two `f32` that are applied one after the other.
///
/// A subnormal `f32` has few digits, and there is none above 3.4e38. A factor that is as small or as large as this is cut
/// at about its root into a power of 2, the `shift`, and the `rest`; for any other the `shift` is 1. The first
/// multiplication is exact, or else it underflows or overflows where the product of all does: a small `rest` is below
/// 2^-24, a large one above 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factor {
    pub(crate) shift: f32,
    pub(crate) rest: f32,
}

impl Factor {
    pub(crate) const ONE: Self = Self { shift: 1.0, rest: 1.0 };

    pub(crate) fn of(factor: f64) -> Self {
        let single = factor as f32;
        if single.is_normal() || factor == 0.0 || !factor.is_finite() {
            return Self { shift: 1.0, rest: single };
        }
        let exponent = (factor.to_bits() >> 52) as i32 - 1023;
        let shift = f32::from_bits(((exponent / 2).clamp(-126, 126) + 127).unsigned_abs() << 23);
        Self { shift, rest: (factor / f64::from(shift)) as f32 }
    }

    /// Returns whether one multiplication does it.
    pub(crate) fn is_single(self) -> bool {
        self.shift == 1.0
    }

    #[inline(always)]
    pub(crate) fn apply(self, x: f32) -> f32 {
        x * self.shift * self.rest
    }

    /// The same in lanes.
    #[inline(always)]
    pub(crate) fn times<L: Lane>(self, x: L) -> L {
        x * self.shift * self.rest
    }
}
