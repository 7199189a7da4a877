//! Slices of floats in the formats that a pass understands.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::ops;

use crate::{
    formats::{
        half::Format,
        tiles::{within, within_mut},
    },
    simd::prefetch::prefetch_start,
};

/// Floats to be read, in one of the formats that a pass understands.
#[derive(Clone, Copy, Debug)]
pub enum Floats<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// The bits of 16-bit floats.
    Half(Format, &'a [u16]),
}

/// Floats to be read and written.
#[derive(Debug)]
pub enum FloatsMut<'a> {
    /// Single precision.
    F32(&'a mut [f32]),
    /// The bits of 16-bit floats.
    Half(Format, &'a mut [u16]),
}

/// Gradients: those that are given as mutable can be zeroed.
#[derive(Debug)]
pub enum Grads<'a> {
    /// To be read only.
    Read(Floats<'a>),
    /// To be read, and zeroed where the pass asks for it.
    Write(FloatsMut<'a>),
}

impl<'a> From<&'a [f32]> for Floats<'a> {
    fn from(floats: &'a [f32]) -> Self {
        Self::F32(floats)
    }
}

impl<'a> From<&'a mut [f32]> for FloatsMut<'a> {
    fn from(floats: &'a mut [f32]) -> Self {
        Self::F32(floats)
    }
}

/// Arrays and vectors of what slices are taken of.
macro_rules! from_owners {
    ($($floats:ty),*) => {$(
        impl<'a, const N: usize> From<&'a [$floats; N]> for Grads<'a> {
            fn from(floats: &'a [$floats; N]) -> Self {
                floats.as_slice().into()
            }
        }

        impl<'a, const N: usize> From<&'a mut [$floats; N]> for Grads<'a> {
            fn from(floats: &'a mut [$floats; N]) -> Self {
                floats.as_mut_slice().into()
            }
        }

        impl<'a, const N: usize> From<&'a mut [$floats; N]> for FloatsMut<'a> {
            fn from(floats: &'a mut [$floats; N]) -> Self {
                floats.as_mut_slice().into()
            }
        }

        #[cfg(feature = "alloc")]
        impl<'a> From<&'a Vec<$floats>> for Grads<'a> {
            fn from(floats: &'a Vec<$floats>) -> Self {
                floats.as_slice().into()
            }
        }

        #[cfg(feature = "alloc")]
        impl<'a> From<&'a mut Vec<$floats>> for Grads<'a> {
            fn from(floats: &'a mut Vec<$floats>) -> Self {
                floats.as_mut_slice().into()
            }
        }

        #[cfg(feature = "alloc")]
        impl<'a> From<&'a mut Vec<$floats>> for FloatsMut<'a> {
            fn from(floats: &'a mut Vec<$floats>) -> Self {
                floats.as_mut_slice().into()
            }
        }
    )*};
}
from_owners!(f32);
#[cfg(feature = "half")]
from_owners!(half::bf16, half::f16);

impl<'a, T> From<&'a [T]> for Grads<'a>
where
    Floats<'a>: From<&'a [T]>,
{
    fn from(floats: &'a [T]) -> Self {
        Self::Read(floats.into())
    }
}

impl<'a, T> From<&'a mut [T]> for Grads<'a>
where
    FloatsMut<'a>: From<&'a mut [T]>,
{
    fn from(floats: &'a mut [T]) -> Self {
        Self::Write(floats.into())
    }
}

macro_rules! halves {
    ($($half:ident is $Format:ident),*) => {$(
        #[cfg(feature = "half")]
        impl<'a> From<&'a [half::$half]> for Floats<'a> {
            fn from(halves: &'a [half::$half]) -> Self {
                use half::slice::HalfFloatSliceExt;
                Self::Half(Format::$Format, halves.reinterpret_cast())
            }
        }

        #[cfg(feature = "half")]
        impl<'a> From<&'a mut [half::$half]> for FloatsMut<'a> {
            fn from(halves: &'a mut [half::$half]) -> Self {
                use half::slice::HalfFloatSliceExt;
                Self::Half(Format::$Format, halves.reinterpret_cast_mut())
            }
        }
    )*};
}
halves!(bf16 is Bf16, f16 is F16);

impl<'a> Floats<'a> {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(floats) => floats.len(),
            Self::Half(_, bits) => bits.len(),
        }
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them, in single precision; 0 where there is none.
    pub(crate) fn get(self, i: usize) -> f32 {
        let mut x = [0.0];
        if i < self.len() {
            self.decode(i, &mut x);
        }
        x[0]
    }

    /// A part of them, in single precision.
    #[inline(always)]
    pub(crate) fn decode(&self, from: usize, to: &mut [f32]) {
        self.each(from, to, |to, x| *to = x);
    }

    /// Returns what comes from `at` on, where it is in single precision.
    pub(crate) fn single_from(self, at: usize) -> &'a [f32] {
        match self {
            Self::F32(floats) => floats.get(at..).unwrap_or_default(),
            Self::Half(..) => &[],
        }
    }

    /// The bounds, rounded inwards to numbers of this format.
    pub(crate) fn within(self, bounds: (f32, f32)) -> (f32, f32) {
        match self {
            Self::F32(_) => bounds,
            Self::Half(format, _) => format.within(bounds),
        }
    }

    /// Asks for the beginning of what comes from `at` on: the sweep's own prefetching takes over from there.
    pub(crate) fn prefetch(self, at: usize) {
        match self {
            Self::F32(floats) => prefetch_start(floats.get(at..).unwrap_or_default()),
            Self::Half(_, bits) => prefetch_start(bits.get(at..).unwrap_or_default()),
        }
    }

    /// Adds a part of them.
    #[inline(always)]
    pub(crate) fn add(&self, from: usize, to: &mut [f32]) {
        self.each(from, to, |to, x| *to += x);
    }

    #[inline(always)]
    fn each(&self, from: usize, to: &mut [f32], put: impl Fn(&mut f32, f32)) {
        let range = from..from.saturating_add(to.len());
        match self {
            Self::F32(floats) => to.iter_mut().zip(within(floats, &range)).for_each(|(to, x)| put(to, *x)),
            Self::Half(format, bits) => format.decode(within(bits, &range), to, put),
        }
    }
}

impl FloatsMut<'_> {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_floats().len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn as_floats(&self) -> Floats<'_> {
        match self {
            Self::F32(floats) => Floats::F32(floats),
            Self::Half(format, bits) => Floats::Half(*format, bits),
        }
    }

    pub(crate) fn reborrow(&mut self) -> FloatsMut<'_> {
        match self {
            Self::F32(floats) => FloatsMut::F32(floats),
            Self::Half(format, bits) => FloatsMut::Half(*format, bits),
        }
    }

    /// Puts these floats in, from `at` on, each rounded to nearest even, or else towards zero, once it is between the
    /// bounds.
    #[inline(always)]
    pub(crate) fn encode(&mut self, at: usize, from: &[f32], (low, high): (f32, f32), toward_zero: bool) {
        let range = at..at.saturating_add(from.len());
        match self {
            Self::F32(floats) => copy_floats(from, within_mut(floats, &range)),
            Self::Half(format, bits) if toward_zero => {
                format.encode_toward_zero(from, within_mut(bits, &range), |x| clamp(x, low, high));
            }
            Self::Half(format, bits) => {
                format.encode(from, within_mut(bits, &range), |x| clamp(x, low, high));
            }
        }
    }

    pub(crate) fn zero(&mut self, range: &ops::Range<usize>) {
        match self {
            Self::F32(floats) => within_mut(floats, range).fill(0.0),
            Self::Half(_, bits) => within_mut(bits, range).fill(0),
        }
    }
}

/// A NaN stays.
#[inline(always)]
pub(crate) fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if high < x { high } else { x }
}

/// As `copy_from_slice` of slices that are equally long, and without its way to panic.
#[inline(always)]
pub(crate) fn copy_floats(from: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

impl Grads<'_> {
    /// No gradient, for what does not look at it.
    pub const NONE: Self = Self::Read(Floats::F32(&[]));

    /// Returns whether they are in single precision.
    pub(crate) fn is_single(&self) -> bool {
        self.single().is_some()
    }

    /// The slice, where it is in single precision.
    #[inline(always)]
    pub(crate) fn single(&self) -> Option<&[f32]> {
        match self {
            Self::Read(Floats::F32(grads)) => Some(grads),
            Self::Write(FloatsMut::F32(grads)) => Some(grads),
            _ => None,
        }
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_floats().len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn as_floats(&self) -> Floats<'_> {
        match self {
            Self::Read(floats) => *floats,
            Self::Write(floats) => floats.as_floats(),
        }
    }

    pub(crate) fn reborrow(&mut self) -> Grads<'_> {
        match self {
            Self::Read(floats) => Grads::Read(*floats),
            Self::Write(floats) => Grads::Write(floats.reborrow()),
        }
    }
}

#[cfg(feature = "std")]
impl Floats<'_> {
    /// The first `mid` elements, or all where there are fewer, and the others.
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        match self {
            Self::F32(floats) => {
                let (first, rest) = floats.split_at(mid.min(floats.len()));
                (Self::F32(first), Self::F32(rest))
            }
            Self::Half(format, bits) => {
                let (first, rest) = bits.split_at(mid.min(bits.len()));
                (Self::Half(format, first), Self::Half(format, rest))
            }
        }
    }
}

#[cfg(feature = "std")]
impl<'a> FloatsMut<'a> {
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        let len = self.len();
        match self {
            Self::F32(floats) => {
                let (first, rest) = floats.split_at_mut(mid.min(len));
                (Self::F32(first), Self::F32(rest))
            }
            Self::Half(format, bits) => {
                let (first, rest) = bits.split_at_mut(mid.min(len));
                (Self::Half(format, first), Self::Half(format, rest))
            }
        }
    }
}

#[cfg(feature = "std")]
impl<'a> Grads<'a> {
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        match self {
            Self::Read(floats) => {
                let (first, rest) = floats.split_at(mid);
                (Self::Read(first), Self::Read(rest))
            }
            Self::Write(floats) => {
                let (first, rest) = floats.split_at(mid);
                (Self::Write(first), Self::Write(rest))
            }
        }
    }
}
