//! Sums without rounding: the same whatever the order, the grouping, the threads and the shards.

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Enough for 2^64 sums of a block each: from [`LOWEST`] up to 2^340, and a sign.
const WORDS: usize = 10;

/// The exponent of the lowest bit. All that is added is made of products of two `f32`, which are multiples of 2^-298.
const LOWEST: i32 = -300;

/// A fixed-point number that is wide enough for any sum of squares of `f32`, so that nothing is ever rounded away.
///
/// The sums of blocks are rounded as any `f64` is; how blocks are put together does not matter to a single bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExactSum {
    /// Two's complement, the lowest word first.
    words: [u64; WORDS],
    special: Special,
}

/// What has no place in fixed point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Special {
    nan: bool,
    infinite: bool,
    minus_infinite: bool,
}

impl ExactSum {
    pub(crate) fn add(&mut self, x: f64) {
        if !x.is_finite() {
            self.special.nan |= x.is_nan();
            self.special.infinite |= x == f64::INFINITY;
            self.special.minus_infinite |= x == f64::NEG_INFINITY;
            return;
        }
        let (mantissa, exponent) = parts(x);
        // Below the lowest bit there are only zeros: what is added is a multiple of the least product.
        let (mantissa, at) = match usize::try_from(exponent - LOWEST) {
            Ok(at) => (mantissa, at),
            Err(_) => (mantissa.checked_shr(exponent.abs_diff(LOWEST)).unwrap_or(0), 0),
        };
        let mut term = [0; WORDS];
        let wide = u128::from(mantissa) << (at % BITS);
        for (place, part) in term.iter_mut().skip(at / BITS).zip([wide as u64, (wide >> BITS) as u64]) {
            *place = part;
        }
        if x < 0.0 {
            negate(&mut term);
        }
        add_words(&mut self.words, &term);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        add_words(&mut self.words, &other.words);
        self.special.nan |= other.special.nan;
        self.special.infinite |= other.special.infinite;
        self.special.minus_infinite |= other.special.minus_infinite;
    }

    /// The sum, rounded once, to nearest even.
    pub(crate) fn total(&self) -> f64 {
        match self.special {
            Special { nan: true, .. } | Special { infinite: true, minus_infinite: true, .. } => f64::NAN,
            Special { infinite: true, .. } => f64::INFINITY,
            Special { minus_infinite: true, .. } => f64::NEG_INFINITY,
            _ => self.finite(),
        }
    }

    fn finite(&self) -> f64 {
        let mut words = self.words;
        let negative = words[WORDS - 1] >> (BITS - 1) == 1;
        if negative {
            negate(&mut words);
        }
        let magnitude = rounded(&words);
        if negative { -magnitude } else { magnitude }
    }
}

/// The mantissa as an integer, and the exponent of its lowest bit.
fn parts(x: f64) -> (u64, i32) {
    let bits = x.to_bits();
    let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
    if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) }
}

fn add_words(sum: &mut [u64; WORDS], term: &[u64; WORDS]) {
    let mut carry = false;
    for (word, part) in sum.iter_mut().zip(term) {
        let (partial, first) = word.overflowing_add(*part);
        let (total, second) = partial.overflowing_add(carry.into());
        *word = total;
        carry = first | second;
    }
}

fn negate(words: &mut [u64; WORDS]) {
    let mut one = [0; WORDS];
    one[0] = 1;
    words.iter_mut().for_each(|word| *word = !*word);
    add_words(words, &one);
}

/// The nearest `f64` of a fixed-point number without a sign.
fn rounded(words: &[u64; WORDS]) -> f64 {
    let Some(top) = words.iter().rposition(|&word| word != 0) else { return 0.0 };
    // The highest 64 bits that count, and whether anything is set below them.
    let shift = words[top].leading_zeros();
    let below = if top == 0 { 0 } else { words[top - 1] };
    let wide = (u128::from(words[top]) << BITS | u128::from(below)) << shift;
    let sticky = wide as u64 != 0 || words[..top.saturating_sub(1)].iter().any(|&word| word != 0);
    let leading = (wide >> BITS) as u64 | u64::from(sticky);
    // The conversion rounds to nearest even; the bit for the rest, far below the mantissa, only breaks ties.
    let exponent = LOWEST + (top * BITS) as i32 - shift as i32;
    leading as f64 * power_of_two(exponent)
}

/// 2^n for an `n` far from the ends of `f64`'s range.
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(terms: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        terms.iter().for_each(|&x| sum.add(x));
        sum.total()
    }

    #[test]
    fn single_numbers_come_back() {
        let least = f64::from(f32::from_bits(1));
        let most = f64::from(f32::MAX);
        for x in [0.0, 1.0, -1.0, 0.1, -3e-40, least * least, -least * least, most * most * 4096.0, 1e-45] {
            assert_eq!(sum(&[x]), x);
        }
    }

    #[test]
    fn nothing_is_lost_between_huge_terms() {
        assert_eq!(sum(&[1e70, 1.0, -1e70, power_of_two(-250)]), 1.0 + power_of_two(-250));
        assert_eq!(sum(&[1e70, power_of_two(-298), -1e70]), power_of_two(-298));
        assert_eq!(sum(&[1.0, -1.0]), 0.0);
    }

    #[test]
    fn rounding_is_to_nearest_even() {
        let ulp = f64::EPSILON;
        assert_eq!(sum(&[1.0, ulp / 2.0]), 1.0);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[1.0, ulp / 2.0, power_of_two(-290)]), 1.0 + ulp);
        assert_eq!(sum(&[-1.0, -ulp / 2.0, -power_of_two(-290)]), -1.0 - ulp);
    }

    #[test]
    fn any_grouping_gives_the_same() {
        let terms: [f64; 999] = core::array::from_fn(|i| {
            let i = i as i32;
            f64::from(i * 7919 % 1000 - 500) * power_of_two(i % 120 - 60)
        });
        for cut in [1, 10, 500] {
            let mut all = ExactSum::default();
            for part in terms.rchunks(cut) {
                let mut sum = ExactSum::default();
                part.iter().for_each(|&x| sum.add(x));
                all.merge(&sum);
            }
            assert_eq!(all.total().to_bits(), sum(&terms).to_bits());
        }
    }

    #[test]
    fn infinities_and_nans_are_kept() {
        assert_eq!(sum(&[1.0, f64::INFINITY, -5.0]), f64::INFINITY);
        assert_eq!(sum(&[f64::NEG_INFINITY]), f64::NEG_INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum(&[f64::NAN, 1.0]).is_nan());
    }
}
