//! What is computed once a step, in `f64`, by code of our own: a platform's `pow` differs from the next one's.

use core::f64::consts::{LOG2_E, PI, SQRT_2};

/// `x` to a whole power, by squaring.
pub(crate) fn powi(x: f64, n: u64) -> f64 {
    let (mut power, mut square, mut rest) = (1.0, x, n);
    while rest > 0 {
        if rest & 1 == 1 {
            power *= square;
        }
        square *= square;
        rest >>= 1;
    }
    power
}

/// The square root, correctly rounded: IEEE 754 leaves no choice, so any implementation that keeps to it will do.
#[cfg(feature = "std")]
pub(crate) fn sqrt(x: f64) -> f64 {
    x.sqrt()
}

/// `core` has no square root.
#[cfg(not(feature = "std"))]
pub(crate) fn sqrt(x: f64) -> f64 {
    libm::sqrt(x)
}

/// The cosine of pi times `x`, for any finite `x`: within 2 ulps, and exact at multiples of a half.
pub(crate) fn cos_pi(x: f64) -> f64 {
    // The cosine is even. From 2^53 on every number is an even integer, and the conversion may saturate.
    let x = x.abs().min(9_007_199_254_740_992.0);
    let whole = x as u64;
    let rest = x - whole as f64;
    let cosine = if rest <= 0.5 { cos_pi_half(rest) } else { -cos_pi_half(1.0 - rest) };
    if whole & 1 == 0 { cosine } else { -cosine }
}

/// For `x` from 0 to 1/2. Up to 1/4 the cosine's series converges fast, from there on that of the sine.
fn cos_pi_half(x: f64) -> f64 {
    if x <= 0.25 {
        let square = PI * x * (PI * x);
        1.0 + square * polynomial(&COS, square)
    } else {
        let angle = PI * (0.5 - x);
        let square = angle * angle;
        angle + angle * square * polynomial(&SIN, square)
    }
}

/// `x` to the power `y`, both finite and 0 or above: within 1e-15 of the true value, relatively.
pub(crate) fn powf(x: f64, y: f64) -> f64 {
    let whole = y as u64;
    if whole <= 8 && whole as f64 == y {
        return powi(x, whole);
    }
    if x == 0.0 || x == 1.0 {
        return x;
    }
    let ln = ln_double(x);
    match ln.0 * y {
        over if over > 710.0 => f64::INFINITY,
        under if under < -746.0 => 0.0,
        _ => exp(product(ln, (y, 0.0))),
    }
}

/// The natural logarithm of a finite `x` above 0.
pub(crate) fn ln(x: f64) -> f64 {
    ln_double(x).0
}

/// A number and what its rounding took away: about 106 bits.
type Double = (f64, f64);

/// The natural logarithm of a finite `x` above 0. `powf` multiplies its error by up to 745.
fn ln_double(x: f64) -> Double {
    let (mantissa, exponent) = mantissa_and_exponent(x);
    // ln(m) is 2 artanh(s) with s = (m-1)/(m+1), and that is 2 (s + s^3/3 + s^5/5 + ...).
    let s = quotient(mantissa - 1.0, two_sum(mantissa, 1.0));
    let square = product(s, s);
    let (third, rest) = two_sum(1.0 / 3.0, square.0 * polynomial(&ARTANH, square.0));
    let tail = product(product(square, (third, rest + THIRD_REST)), s);

    let (sum, rest1) = two_sum(exponent * LN_2_HI, 2.0 * s.0);
    let (sum, rest2) = two_sum(sum, 2.0 * tail.0);
    two_sum(sum, rest1 + rest2 + (exponent * LN_2_LO + 2.0 * (s.1 + tail.1)))
}

/// Splits a finite `x` above 0 into a number from 1/sqrt(2) to sqrt(2) and the power of 2 that it is multiplied by.
fn mantissa_and_exponent(x: f64) -> (f64, f64) {
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    let (normal, shift) = if x < f64::MIN_POSITIVE { (x * TWO_54, 54.0) } else { (x, 0.0) };
    let exponent = (normal.to_bits() >> 52) as f64 - 1023.0 - shift;
    let mantissa = f64::from_bits(normal.to_bits() & ((1 << 52) - 1) | (1023 << 52));
    if mantissa < SQRT_2 { (mantissa, exponent) } else { (mantissa / 2.0, exponent + 1.0) }
}

/// e to the power `x`, which is from -746 to 710.
fn exp((x, rest): Double) -> f64 {
    let nearest = if x < 0.0 { x * LOG2_E - 0.5 } else { x * LOG2_E + 0.5 } as i64;
    let k = nearest as f64;
    let r = (x - k * LN_2_HI) + (rest - k * LN_2_LO);
    let power = 1.0 + (r + r * r * polynomial(&EXP, r));
    // Twice, because 2^k itself may be out of range where the result is not.
    power * power_of_two(nearest / 2) * power_of_two(nearest - nearest / 2)
}

fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// `c[0] + c[1] x + c[2] x^2 + ...`
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

fn product(a: Double, b: Double) -> Double {
    let (product, rest) = two_product(a.0, b.0);
    (product, rest + (a.0 * b.1 + a.1 * b.0))
}

fn quotient(a: f64, b: Double) -> Double {
    let quotient = a / b.0;
    let (back, rest) = product((quotient, 0.0), b);
    (quotient, (a - back - rest) / b.0)
}

/// A sum without error (Knuth).
fn two_sum(a: f64, b: f64) -> Double {
    let sum = a + b;
    let b_in_sum = sum - a;
    (sum, (a - (sum - b_in_sum)) + (b - b_in_sum))
}

/// A product without error (Dekker). A fused multiply-add would be shorter, but no target has to have one.
fn two_product(a: f64, b: f64) -> Double {
    let product = a * b;
    let ((a_hi, a_lo), (b_hi, b_lo)) = (halves(a), halves(b));
    (product, a_lo * b_lo - (product - a_hi * b_hi - a_lo * b_hi - a_hi * b_lo))
}

/// Two numbers of at most 26 bits each whose sum is `x`.
fn halves(x: f64) -> (f64, f64) {
    let shifted = 134_217_729.0 * x; // 2^27 + 1
    let hi = shifted - (shifted - x);
    (hi, x - hi)
}

/// ln(2) in two parts. The first has 42 bits: its product with an exponent is exact.
const LN_2_HI: f64 = 0.693_147_180_559_890_3;
const LN_2_LO: f64 = 5.497_923_018_708_371e-14;

/// What rounding takes from 1/3.
const THIRD_REST: f64 = 1.0 / 54_043_195_528_445_952.0;

/// The Taylor series, each without its first terms and as far as `f64` can see: the cosine from x^2 in powers of x^2.
const COS: [f64; 8] = [
    -1.0 / 2.0,
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];
/// The sine from x^3, in powers of x^2.
const SIN: [f64; 8] = [
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];
/// The exponential function from x^2, in powers of x.
const EXP: [f64; 13] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
    1.0 / 87_178_291_200.0,
];
/// The inverse hyperbolic tangent from x^5, in powers of x^2.
const ARTANH: [f64; 12] = [
    1.0 / 5.0,
    1.0 / 7.0,
    1.0 / 9.0,
    1.0 / 11.0,
    1.0 / 13.0,
    1.0 / 15.0,
    1.0 / 17.0,
    1.0 / 19.0,
    1.0 / 21.0,
    1.0 / 23.0,
    1.0 / 25.0,
    1.0 / 27.0,
];

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn powers() {
        assert_eq!(powi(0.9, 0), 1.0);
        assert_eq!(powi(0.9, 1), 0.9);
        assert_eq!(powi(2.0, 100), 1.267_650_600_228_229_4e30);
        assert_eq!(powi(0.999, u64::MAX), 0.0);
        // 0.999^1000, to 20 digits by exact arithmetic: 0.36769542477096379413
        assert!((powi(0.999, 1000) / 0.367_695_424_770_963_8 - 1.0).abs() < 1e-14);
    }

    #[test]
    fn square_roots() {
        assert_eq!(sqrt(2.0), core::f64::consts::SQRT_2);
        assert_eq!(sqrt(0.0), 0.0);
    }

    /// Returns how far apart two positive numbers are, in steps of the last digit.
    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    #[test]
    fn cosines() {
        for (x, exact) in [(0.0, 1.0), (0.5, 0.0), (1.0, -1.0), (1.5, 0.0), (2.0, 1.0), (-3.0, -1.0)] {
            assert_eq!(cos_pi(x).abs(), f64::abs(exact));
            assert_eq!(cos_pi(x), exact);
        }
        for x in [1e15, 9_007_199_254_740_993.0, 1e300, f64::MAX, -f64::MAX] {
            assert_eq!(cos_pi(x), 1.0);
        }
        for i in 0..=1_000_000 {
            let x = f64::from(i) * 1e-6;
            // The angle is rounded in the platform's cosine, so that near its zero the sine has to be asked.
            let exact = if x <= 0.25 { (PI * x).cos() } else { (PI * (0.5 - x)).sin() };
            let cosine = cos_pi(x);
            assert!(ulps(cosine.abs(), exact.abs()) <= 3, "{x}: {cosine} {exact}");
            assert_eq!(cosine < 0.0, x > 0.5);
            assert_eq!((cos_pi(-x), cos_pi(x + 2.0)), (cosine, cos_pi((x + 2.0) - 2.0)));
        }
    }

    #[test]
    fn any_powers() {
        for i in 1..2000 {
            for j in 1..500 {
                let (x, y) = (f64::from(i) * 1e-3, f64::from(j) * 0.037);
                let (ours, std) = (powf(x, y), x.powf(y));
                assert!(ulps(ours, std) <= 2, "{x}^{y}: {ours} {std}");
            }
        }
    }

    #[test]
    fn powers_in_all_magnitudes() {
        let magnitudes = [-1074, -1050, -1022, -700, -53, -1, 0, 1, 53, 700, 1023];
        for (i, exponent) in (0..3000).flat_map(|i| magnitudes.map(|exponent| (i, exponent))) {
            let x = (1.0 + f64::from(i) / 3000.0) * 2f64.powi(exponent);
            for y in [0.1, 0.5, 0.99, 1.01, 1.5, 2.7, 19.0, 300.5] {
                let (ours, std) = (powf(x, y), x.powf(y));
                assert!(ulps(ours, std) <= 2, "{x:e}^{y}: {ours:e} {std:e}");
            }
        }
    }

    #[test]
    fn powers_at_the_edges() {
        assert_eq!([0.0, 1e-320, 1.0, 1e300].map(|x| powf(x, 0.0)), [1.0; 4]);
        assert_eq!([1e-300, 0.5, 5e300].map(|y| powf(0.0, y)), [0.0; 3]);
        assert_eq!([1e-300, 0.5, 5e300].map(|y| powf(1.0, y)), [1.0; 3]);
        assert_eq!(
            [0.5, 0.999_999, 1.000_001, 2.0].map(|x| powf(x, f64::MAX)),
            [0.0, 0.0, f64::INFINITY, f64::INFINITY]
        );
        assert_eq!([f64::from_bits(1), f64::MAX].map(|x| powf(x, f64::from_bits(1))), [1.0, 1.0]);
        assert_eq!([0.1, 0.7, 3.0].map(|x| powf(x, 1.0)), [0.1, 0.7, 3.0]);
        assert_eq!(powf(0.3, 3.0), powi(0.3, 3));
        // Just beside 1, where a logarithm that cancelled would have no digits left.
        let e = powf(1.0 + f64::EPSILON, 1.0 / f64::EPSILON);
        assert!((e / core::f64::consts::E - 1.0).abs() < 1e-15);
    }
}
