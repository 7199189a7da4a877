//! The SIMD that the target was compiled for: SSE2, NEON, simd128.

use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::simd::{
    isa::Isa,
    lane::{Lane, sealed::Sealed},
    scalar::Scalar,
};

// The widest vector that is one register: `wide` splits a wider one into halves, which doubles the register
// pressure and gains nothing.
#[cfg(target_feature = "avx512f")]
type Vector = ::wide::f32x16;
#[cfg(all(target_feature = "avx", not(target_feature = "avx512f")))]
type Vector = ::wide::f32x8;
#[cfg(not(target_feature = "avx"))]
type Vector = ::wide::f32x4;

const LANES: usize = size_of::<Vector>() / size_of::<f32>();

#[derive(Clone, Copy, Default)]
pub(crate) struct WideLane(Vector);

macro_rules! operator {
    ($($Op:ident $op:ident),*) => {$(
        impl $Op for WideLane {
            type Output = Self;
            #[inline(always)]
            fn $op(self, other: Self) -> Self {
                Self($Op::$op(self.0, other.0))
            }
        }

        impl $Op<f32> for WideLane {
            type Output = Self;
            #[inline(always)]
            fn $op(self, other: f32) -> Self {
                Self($Op::$op(self.0, Vector::splat(other)))
            }
        }
    )*};
}
operator!(Add add, Sub sub, Mul mul, Div div);

impl Neg for WideLane {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // By the sign bit: subtraction from zero would turn 0 into 0 instead of -0.
        Self(self.0 ^ Vector::splat(-0.0))
    }
}

impl Sealed for WideLane {}

impl Lane for WideLane {
    type Mask = Vector;

    #[inline(always)]
    fn splat(self, x: f32) -> Self {
        Self(Vector::splat(x))
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs())
    }

    #[inline(always)]
    fn lt(self, other: Self) -> Vector {
        self.0.simd_lt(other.0)
    }

    #[inline(always)]
    fn le(self, other: Self) -> Vector {
        self.0.simd_le(other.0)
    }

    // One instruction, as on AVX2. Those of other processors treat NaN and zeros in other ways.
    #[cfg(target_feature = "sse2")]
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(other.0.fast_max(self.0))
    }

    #[cfg(target_feature = "sse2")]
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(other.0.fast_min(self.0))
    }

    #[inline(always)]
    fn select(mask: Vector, yes: Self, no: Self) -> Self {
        Self(mask.select(yes.0, no.0))
    }
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Wide;

impl Wide {
    /// What `wide` compiles to on this target, unless it has nothing but arrays.
    pub(crate) const SIMD: Option<&'static str> = if cfg!(target_feature = "avx512f") {
        Some("AVX-512")
    } else if cfg!(target_feature = "avx") {
        Some("AVX")
    } else if cfg!(target_feature = "sse") {
        Some("SSE2")
    } else if cfg!(target_feature = "simd128") {
        Some("simd128")
    } else if cfg!(all(target_feature = "neon", target_arch = "aarch64")) {
        Some("NEON")
    } else {
        None
    };
    pub(crate) const LANES: usize = LANES;
}

impl Isa for Wide {
    type Lane = WideLane;
    type Narrower = Scalar;
    type Chunk = [f32; LANES];

    #[inline(always)]
    fn chunks(floats: &[f32]) -> (&[Self::Chunk], &[f32]) {
        floats.as_chunks()
    }

    #[inline(always)]
    fn chunks_mut(floats: &mut [f32]) -> (&mut [Self::Chunk], &mut [f32]) {
        floats.as_chunks_mut()
    }

    #[inline(always)]
    fn load(self, chunk: Self::Chunk) -> WideLane {
        WideLane(Vector::new(chunk))
    }

    #[inline(always)]
    fn store(self, lane: WideLane) -> Self::Chunk {
        lane.0.to_array()
    }

    #[inline(always)]
    fn load_part(self, floats: &[f32]) -> WideLane {
        let mut chunk = [0.0; LANES];
        for (padded, float) in chunk.iter_mut().zip(floats) {
            *padded = *float;
        }
        self.load(chunk)
    }

    #[inline(always)]
    fn store_part(self, lane: WideLane, floats: &mut [f32]) {
        for (float, padded) in floats.iter_mut().zip(self.store(lane)) {
            *float = padded;
        }
    }
}
