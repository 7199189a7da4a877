//! One lane: plain `f32`, the meaning of every operation.

use crate::simd::{
    isa::Isa,
    lane::{Lane, sealed::Sealed},
};

impl Sealed for f32 {}

impl Lane for f32 {
    type Mask = bool;

    #[inline(always)]
    fn splat(self, x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self < other
    }

    #[inline(always)]
    fn le(self, other: Self) -> bool {
        self <= other
    }

    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
}

#[cfg(feature = "std")]
#[inline(always)]
fn sqrt(x: f32) -> f32 {
    x.sqrt()
}

/// `core` has no square root.
#[cfg(not(feature = "std"))]
#[inline(always)]
fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}

/// No SIMD at all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scalar;

impl Isa for Scalar {
    type Lane = f32;
    type Narrower = Scalar;
    type Chunk = f32;

    #[inline(always)]
    fn chunks(floats: &[f32]) -> (&[f32], &[f32]) {
        (floats, &[])
    }

    #[inline(always)]
    fn chunks_mut(floats: &mut [f32]) -> (&mut [f32], &mut [f32]) {
        (floats, &mut [])
    }

    #[inline(always)]
    fn load(self, chunk: f32) -> f32 {
        chunk
    }

    #[inline(always)]
    fn store(self, lane: f32) -> f32 {
        lane
    }

    // A chunk is one float, so a part of one is none.
    #[inline(always)]
    fn load_part(self, _: &[f32]) -> f32 {
        0.0
    }

    #[inline(always)]
    fn store_part(self, _: f32, _: &mut [f32]) {}
}
