//! What is computed once a step, in `f64`, by code of our own: a platform's `pow` differs from the next one's.

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

/// `core` has no square root, and `wide` has one for every target.
#[cfg(not(feature = "std"))]
pub(crate) fn sqrt(x: f64) -> f64 {
    wide::f64x2::new([x, 0.0]).sqrt().to_array()[0]
}

#[cfg(test)]
mod tests {
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
}
