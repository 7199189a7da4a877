//! AVX2 and AVX-512, found at run time: `pulp` vouches for the instructions and for the registers.

use core::ops::{Add, Div, Mul, Neg, Sub};

use pulp::Simd;

use crate::simd::{
    isa::{Isa, Vectorized},
    lane::{Lane, sealed::Sealed},
    wide::Wide,
};

/// A vector beside the zero-sized token which proves that its instructions exist.
#[derive(Clone, Copy)]
pub(crate) struct X86Lane<S: Simd> {
    simd: S,
    value: S::f32s,
}

macro_rules! operator {
    ($($Op:ident $op:ident $pulp:ident),*) => {$(
        impl<S: Simd> $Op for X86Lane<S> {
            type Output = Self;
            #[inline(always)]
            fn $op(self, other: Self) -> Self {
                self.with(self.simd.$pulp(self.value, other.value))
            }
        }

        impl<S: Simd> $Op<f32> for X86Lane<S> {
            type Output = Self;
            #[inline(always)]
            fn $op(self, other: f32) -> Self {
                $Op::$op(self, self.splat(other))
            }
        }
    )*};
}
operator!(Add add add_f32s, Sub sub sub_f32s, Mul mul mul_f32s, Div div div_f32s);

impl<S: Simd> Neg for X86Lane<S> {
    type Output = Self;
    // `pulp::Simd::neg_f32s` is not always inlined, and a call out of line loses the instruction set.
    #[inline(always)]
    fn neg(self) -> Self {
        self.with(self.simd.xor_f32s(self.value, self.splat(-0.0).value))
    }
}

impl<S: Simd> X86Lane<S> {
    #[inline(always)]
    fn with(self, value: S::f32s) -> Self {
        Self { value, ..self }
    }
}

impl<S: Simd> Sealed for X86Lane<S> {}

impl<S: Simd> Lane for X86Lane<S> {
    type Mask = S::m32s;

    #[inline(always)]
    fn splat(self, x: f32) -> Self {
        self.with(self.simd.splat_f32s(x))
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.with(self.simd.sqrt_f32s(self.value))
    }

    // `pulp::Simd::abs_f32s` is not always inlined either.
    #[inline(always)]
    fn abs(self) -> Self {
        let all_but_sign = self.splat(f32::from_bits(!(1 << 31))).value;
        self.with(self.simd.and_f32s(self.value, all_but_sign))
    }

    #[inline(always)]
    fn lt(self, other: Self) -> S::m32s {
        self.simd.less_than_f32s(self.value, other.value)
    }

    #[inline(always)]
    fn le(self, other: Self) -> S::m32s {
        self.simd.less_than_or_equal_f32s(self.value, other.value)
    }

    // One instruction, which returns its second operand where the first is not larger, or not smaller: equal, or either NaN.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.with(self.simd.max_f32s(other.value, self.value))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.with(self.simd.min_f32s(other.value, self.value))
    }

    #[inline(always)]
    fn select(mask: S::m32s, yes: Self, no: Self) -> Self {
        yes.with(yes.simd.select_f32s(mask, yes.value, no.value))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct X86<S: Simd>(pub(crate) S);

impl<S: Simd> Isa for X86<S> {
    type Lane = X86Lane<S>;
    type Narrower = Wide;
    type Chunk = S::f32s;

    #[inline(always)]
    fn chunks(floats: &[f32]) -> (&[S::f32s], &[f32]) {
        S::as_simd_f32s(floats)
    }

    #[inline(always)]
    fn chunks_mut(floats: &mut [f32]) -> (&mut [S::f32s], &mut [f32]) {
        S::as_mut_simd_f32s(floats)
    }

    #[inline(always)]
    fn load(self, value: S::f32s) -> X86Lane<S> {
        X86Lane { simd: self.0, value }
    }

    #[inline(always)]
    fn store(self, lane: X86Lane<S>) -> S::f32s {
        lane.value
    }

    #[inline(always)]
    fn load_part(self, floats: &[f32]) -> X86Lane<S> {
        self.load(self.0.partial_load_f32s(floats))
    }

    #[inline(always)]
    fn store_part(self, lane: X86Lane<S>, floats: &mut [f32]) {
        self.0.partial_store_f32s(floats, lane.value);
    }
}

/// Hands work to `pulp`, which compiles it with the instructions switched on.
pub(super) struct OnX86<V>(pub(super) V);

impl<V: Vectorized> pulp::WithSimd for OnX86<V> {
    type Output = V::Output;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> V::Output {
        self.0.eval(X86(simd))
    }
}
