//! Sums over the elements of a tensor, the same bits whatever the instructions, the threads and the shards: within a
//! block in `f64`, in a fixed order; beyond it exactly.

use core::array;

use crate::exact::ExactSum;

/// Elements that are summed up by themselves: blocks count from the tensor's start.
pub(crate) const BLOCK: usize = 4096;

/// Running sums within a block, so that they can be vectorised: element `i` of it goes to number `i % LANES`.
const LANES: usize = 16;

/// `Q` sums over the same elements, which come in order, from the start of a block on.
pub(crate) struct Blocks<const Q: usize> {
    lanes: [[f64; LANES]; Q],
    /// How many elements of the block have come.
    at: usize,
    totals: [ExactSum; Q],
}

impl<const Q: usize> Blocks<Q> {
    pub(crate) fn new() -> Self {
        Self { lanes: [[0.0; LANES]; Q], at: 0, totals: [ExactSum::default(); Q] }
    }

    /// Adds the terms of the next `len` elements; `terms` gets each one's number, from 0.
    #[inline(always)]
    pub(crate) fn push(&mut self, len: usize, terms: impl Fn(usize) -> [f64; Q]) {
        let mut i = 0;
        while i < len {
            let now = (len - i).min(BLOCK - self.at);
            i = self.within_block(i, i + now, &terms);
            if self.at == BLOCK {
                self.close();
            }
        }
    }

    /// Elements `from..to`, all of one block. Single ones to the next multiple of [`LANES`], then as many at once.
    #[inline(always)]
    fn within_block(&mut self, from: usize, to: usize, terms: &impl Fn(usize) -> [f64; Q]) -> usize {
        let single = (to - from).min((LANES - self.at % LANES) % LANES);
        self.singly(from, from + single, terms);
        let mut i = from + single;
        let mut lanes = self.lanes;
        while i + LANES <= to {
            let terms: [[f64; Q]; LANES] = array::from_fn(|lane| terms(i + lane));
            for (q, lanes) in lanes.iter_mut().enumerate() {
                for (sum, term) in lanes.iter_mut().zip(&terms) {
                    *sum += term[q];
                }
            }
            i += LANES;
        }
        self.lanes = lanes;
        self.at += i - from - single;
        self.singly(i, to, terms);
        to
    }

    #[inline(always)]
    fn singly(&mut self, from: usize, to: usize, terms: &impl Fn(usize) -> [f64; Q]) {
        for i in from..to {
            for (lanes, term) in self.lanes.iter_mut().zip(terms(i)) {
                lanes[self.at % LANES] += term;
            }
            self.at += 1;
        }
    }

    /// Adds the block to the totals.
    fn close(&mut self) {
        for (lanes, total) in self.lanes.iter_mut().zip(&mut self.totals) {
            total.add(tree(core::mem::replace(lanes, [0.0; LANES])));
        }
        self.at = 0;
    }

    /// The sums over all that came.
    pub(crate) fn finish(mut self) -> [ExactSum; Q] {
        if self.at > 0 {
            self.close();
        }
        self.totals
    }
}

/// In pairs, and pairs of pairs.
fn tree(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(i: usize) -> f32 {
        (i * 7919 % 1000) as f32 / 7.0 - 60.0
    }

    fn sums(cuts: impl Iterator<Item = usize>) -> [u64; 2] {
        let mut blocks = Blocks::<2>::new();
        let mut at = 0;
        for len in cuts {
            blocks.push(len, |i| {
                let x = f64::from(wave(at + i));
                [x, x * x]
            });
            at += len;
        }
        blocks.finish().map(|sum| sum.total().to_bits())
    }

    #[test]
    fn how_elements_come_does_not_matter() {
        let len = 2 * BLOCK + 100;
        let whole = sums([len].into_iter());
        for piece in [1, 7, 16, 100, 1024, 4096] {
            let pieces = (0..len).step_by(piece).map(|at| piece.min(len - at));
            assert_eq!(sums(pieces), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn the_sum_is_right() {
        for len in [0, 1, 15, 16, 17, 4095, 4096, 4097, 10_000] {
            let [value, square] = sums([len].into_iter()).map(f64::from_bits);
            let exact = |term: fn(f64) -> f64| (0..len).map(|i| term(wave(i).into())).sum::<f64>();
            assert!((value - exact(|x| x)).abs() <= 1e-9);
            assert!((square - exact(|x| x * x)).abs() <= 1e-12 * exact(|x| x * x));
        }
    }
}
