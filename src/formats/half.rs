//! 16-bit floats: how a slice of them becomes `f32` and back. Plain integer arithmetic on the bits, without branches, so
//! that the compiler makes lanes of it under whatever instructions are switched on where it is inlined.

use core::fmt;

/// A 16-bit floating-point format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The upper half of an `f32`: 8 bits of exponent, 7 of fraction.
    Bf16,
    /// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
    F16,
}

impl Format {
    /// Gives each float to `put`, with the one that it is for. Exact; a NaN becomes a quiet one with the same payload.
    #[inline(always)]
    pub(crate) fn decode(self, from: &[u16], to: &mut [f32], put: impl Fn(&mut f32, f32)) {
        let pairs = to.iter_mut().zip(from);
        match self {
            Self::Bf16 => pairs.for_each(|(to, &from)| put(to, bf16_to_f32(from))),
            Self::F16 => pairs.for_each(|(to, &from)| put(to, f16_to_f32(from))),
        }
    }

    /// Rounds what `map` makes of each float to nearest even. What is too large becomes infinite; a NaN stays one, quiet, with
    /// the payload's upper bits.
    #[inline(always)]
    pub(crate) fn encode(self, from: &[f32], to: &mut [u16], map: impl Fn(f32) -> f32) {
        let pairs = to.iter_mut().zip(from);
        match self {
            Self::Bf16 => pairs.for_each(|(to, &from)| *to = bf16_from_f32(map(from))),
            Self::F16 => pairs.for_each(|(to, &from)| *to = f16_from_f32(map(from))),
        }
    }

    /// The same towards zero, so that no magnitude grows. What is too large and finite becomes the largest finite number.
    #[inline(always)]
    pub(crate) fn encode_toward_zero(self, from: &[f32], to: &mut [u16], map: impl Fn(f32) -> f32) {
        let pairs = to.iter_mut().zip(from);
        match self {
            Self::Bf16 => pairs.for_each(|(to, &from)| {
                let x = map(from);
                let near = bf16_from_f32(x);
                *to = not_beyond(near, bf16_to_f32(near), x);
            }),
            Self::F16 => pairs.for_each(|(to, &from)| {
                let x = map(from);
                let near = f16_from_f32(x);
                *to = not_beyond(near, f16_to_f32(near), x);
            }),
        }
    }

    /// Bounds whose numbers are of this format, the nearest ones inside; in the wrong order where none lies between.
    pub(crate) fn within(self, (low, high): (f32, f32)) -> (f32, f32) {
        (-self.at_most(-low), self.at_most(high))
    }

    /// The largest number of this format that is not above `x`, infinities included.
    fn at_most(self, x: f32) -> f32 {
        let value = |bits| match self {
            Self::Bf16 => bf16_to_f32(bits),
            Self::F16 => f16_to_f32(bits),
        };
        let near = match self {
            Self::Bf16 => bf16_from_f32(x),
            Self::F16 => f16_from_f32(x),
        };
        // By one downwards: the magnitude of a positive number becomes less, and that of a negative one greater.
        let below = if x.is_sign_positive() { near.wrapping_sub(1) } else { near.wrapping_add(1) };
        value(if value(near) > x { below } else { near })
    }
}

/// The code of a number beside `x`, or the next one towards zero, if its value is farther from zero than `x`.
#[inline(always)]
fn not_beyond(near: u16, value: f32, x: f32) -> u16 {
    near.wrapping_sub(u16::from(value.abs() > x.abs()))
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

const INFINITY: u32 = 0x7f80_0000;
const MAGNITUDE: u32 = 0x7fff_ffff;

#[inline(always)]
fn bf16_to_f32(half: u16) -> f32 {
    let bits = u32::from(half) << 16;
    let quiet = if bits & MAGNITUDE > INFINITY { 1 << 22 } else { 0 };
    f32::from_bits(bits | quiet)
}

#[inline(always)]
fn bf16_from_f32(x: f32) -> u16 {
    let bits = x.to_bits();
    let even = bits >> 16 & 1;
    let rounded = bits.wrapping_add(0x7fff + even) >> 16;
    let nan = bits >> 16 | 1 << 6;
    (if bits & MAGNITUDE > INFINITY { nan } else { rounded }) as u16
}

/// The exponents of `f32` and binary16 differ by this much.
const REBIAS: u32 = (127 - 15) << 23;

/// 2^-14, the least normal number of binary16, as the bits of an `f32`.
const LEAST_NORMAL: u32 = REBIAS + (1 << 23);

#[inline(always)]
fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let shifted = u32::from(half & 0x7fff) << 13;
    // A subnormal has no leading one: give it one, and take it off again as a number.
    let subnormal = (f32::from_bits(shifted + LEAST_NORMAL) - f32::from_bits(LEAST_NORMAL)).to_bits();
    let special = shifted | INFINITY | if shifted > 0x0f80_0000 { 1 << 22 } else { 0 };
    let finite = if shifted < 1 << 23 { subnormal } else { shifted + REBIAS };
    f32::from_bits(sign | if shifted >= 0x0f80_0000 { special } else { finite })
}

#[inline(always)]
fn f16_from_f32(x: f32) -> u16 {
    let sign = x.to_bits() >> 16 & 0x8000;
    let bits = x.to_bits() & MAGNITUDE;
    // Adding 1/2 brings the lowest bit of a subnormal, 2^-24, to the end of the mantissa, and so has it rounded.
    let subnormal = (f32::from_bits(bits) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
    let even = bits >> 13 & 1;
    let normal = bits.wrapping_sub(REBIAS).wrapping_add(0xfff + even) >> 13;
    let finite = if bits < LEAST_NORMAL { subnormal } else { normal };
    let nan = 0x7e00 | (bits >> 13 & 0x3ff);
    let special = if bits > INFINITY { nan } else { 0x7c00 };
    // From 65536 on, where rounding up does not lead to infinity of itself.
    (sign | if bits >= 0x4780_0000 { special } else { finite }) as u16
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use half::{bf16, f16};

    fn check_from(bits: u32) {
        let x = f32::from_bits(bits);
        assert_eq!(bf16_from_f32(x), bf16::from_f32(x).to_bits(), "bf16 from {bits:#x}");
        assert_eq!(f16_from_f32(x), f16::from_f32_const(x).to_bits(), "f16 from {bits:#x}");
    }

    #[test]
    fn decoding_agrees_with_half() {
        for bits in 0..=u16::MAX {
            assert_eq!(
                bf16_to_f32(bits).to_bits(),
                bf16::from_bits(bits).to_f32().to_bits(),
                "bf16 {bits:#x}"
            );
            assert_eq!(
                f16_to_f32(bits).to_bits(),
                f16::from_bits(bits).to_f32_const().to_bits(),
                "f16 {bits:#x}"
            );
        }
    }

    /// Every exponent, with the fractions around which rounding turns.
    #[test]
    fn encoding_agrees_with_half() {
        for upper in 0..=u16::MAX {
            for lower in [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x7fff, 0x8000, 0x8001, 0xffff] {
                check_from(u32::from(upper) << 16 | lower);
            }
        }
    }

    /// All 2^32 inputs, shared among as many threads as there are cores. `cargo test --lib -- --ignored every_input`
    #[test]
    #[ignore = "takes half a minute"]
    fn every_input_agrees_with_half() {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for first in 0..threads {
                scope.spawn(move || (0..=u32::MAX).skip(first).step_by(threads).for_each(check_from));
            }
        });
    }
}
