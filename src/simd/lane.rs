//! What one lane of a rule's arithmetic can do, and what a set of instructions must offer to carry lanes.
//!
//! `f32` gives every operation its meaning; each other lane type applies the same operation to several elements at
//! once and must give the same bits in each. That is why nothing here fuses, estimates or reduces.

use core::ops::{Add, Div, Mul, Neg, Sub};

/// 2^62.
const SQUARABLE: f32 = f32::from_bits((127 + 62) << 23);

pub(super) mod sealed {
    pub trait Sealed {}
}

/// A value of one or more `f32` lanes: what a [`Kernel`](crate::Kernel) computes with.
///
/// Operators work on lanes and, on the right-hand side, on a plain `f32` that goes to every lane:
/// `m * self.beta1 + g * self.rest`. All operations are IEEE 754 single precision, rounded to nearest even, one
/// rounding each, on every target. Which NaN comes out of an operation is not specified; that one does, is.
///
/// The trait is sealed: a kernel is generic over it, and the crate supplies the lanes.
pub trait Lane:
    sealed::Sealed
    + Copy
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f32, Output = Self>
    + Sub<f32, Output = Self>
    + Mul<f32, Output = Self>
    + Div<f32, Output = Self>
{
    /// One truth value a lane, the answer of a comparison.
    type Mask: Copy;

    /// `x` in every lane. Called on any lane at hand: the value of `self` is not used.
    fn splat(self, x: f32) -> Self;

    /// The square root, correctly rounded; NaN below zero, and -0 for -0.
    fn sqrt(self) -> Self;

    /// `self` without its sign.
    fn abs(self) -> Self;

    /// `self < other`; false where either is NaN.
    fn lt(self, other: Self) -> Self::Mask;

    /// `self <= other`; false where either is NaN.
    fn le(self, other: Self) -> Self::Mask;

    /// `yes` where the mask is true, `no` elsewhere. Neither is computed with, so a NaN in the other does no harm.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// `other` where `self < other`, else `self`. So a NaN in `self` stays, and a NaN in `other` is passed over.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(self.lt(other), other, self)
    }

    /// `other` where `other < self`, else `self`. So a NaN in `self` stays, and a NaN in `other` is passed over.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::select(other.lt(self), other, self)
    }

    /// The nearest number from `-max` to `max`; a NaN stays.
    #[inline(always)]
    fn within(self, max: f32) -> Self {
        self.max(self.splat(-max)).min(self.splat(max))
    }

    /// A gradient whose square is finite, as is the square of a difference of two such gradients: brought within 2^62 of
    /// zero. A NaN stays; an infinity counts as 2^62, and a caller who wants it refused asks a pass to check.
    ///
    /// A rule that squares its gradient uses this one for everything that it makes of the gradient. So a step along an
    /// average of gradients, divided by the root of an average of squares, is as long as exact arithmetic would have it,
    /// however large the gradient was. Without it the average of squares would be infinite after one gradient above 1.8e19,
    /// and NaN a step later.
    #[inline(always)]
    fn squarable(self) -> Self {
        self.within(SQUARABLE)
    }

    /// A moving average: `self` moved towards `x` by the part `weight` of the way, `(self - self*weight) + x*weight`.
    ///
    /// With `weight` = 1 - beta this is `beta*self + (1-beta)*x`, but for the rounding of the coefficients: 0.999 in
    /// `f32` is off by 1.3e-8, and the average that settles under it by 1.3e-5, while a small `weight` is exact to 6e-8
    /// of itself. The form `self + (x - self)*weight` has one operation less, and loses a small `x` beside a large
    /// `self` where beta is small.
    #[inline(always)]
    fn lerp(self, x: Self, weight: f32) -> Self {
        (self - self * weight) + x * weight
    }

    /// The cube root of a finite number, within 2 units in the last place; 0 for numbers below 0, NaN for infinity.
    ///
    /// Made of square roots, because IEEE 754 has no cube root: `x^(1/4+1/16+1/64+1/256)` is within 15 % of it for any `x`,
    /// and Halley's method triples the number of correct digits, twice.
    #[inline(always)]
    fn cbrt(self) -> Self {
        let quarter = |x: Self| x.sqrt().sqrt();
        let a = quarter(self);
        let b = quarter(a);
        let c = quarter(b);
        let d = quarter(c);
        let halley = |y: Self| {
            let ratio = self / (y * y) / y;
            y * ((ratio + ratio + 1.0) / (ratio + 2.0))
        };
        let zero = self.splat(0.0);
        Self::select(self.le(zero), zero, halley(halley(a * b * (c * d))))
    }

    /// 1 above zero, -1 below, and 0 for either zero and for NaN.
    #[inline(always)]
    fn sign(self) -> Self {
        let zero = self.splat(0.0);
        let positive = Self::select(zero.lt(self), self.splat(1.0), zero);
        Self::select(self.lt(zero), self.splat(-1.0), positive)
    }
}
