//! Sums over the elements of a tensor, the same bits whatever the instructions, the threads and the shards: within a
//! block in `f64`, in a fixed order; beyond it exactly.

use core::array;

use crate::exact::ExactSum;

/// Elements that are summed up by themselves: blocks count from the tensor's start.
pub(crate) const BLOCK: usize = 4096;

/// Running sums within a block, so that they can be vectorised: element `i` of it goes to number `i % LANES`.
const LANES: usize = 16;

/// A sum over elements that come in order, from the start of a block on.
pub(crate) struct Blocks {
    lanes: [f64; LANES],
    /// How many elements of the block have come.
    at: usize,
    total: ExactSum,
}

impl Blocks {
    pub(crate) fn new() -> Self {
        Self { lanes: [0.0; LANES], at: 0, total: ExactSum::default() }
    }

    /// Adds the terms of the next elements, each made of as many floats as there are slices. These are equally long.
    #[inline(always)]
    pub(crate) fn push<const S: usize>(&mut self, mut slices: [&[f32]; S], term: impl Fn([f32; S]) -> f64) {
        while let Some(left) = slices.first().map(|slice| slice.len()).filter(|&left| left > 0) {
            let now = left.min(BLOCK - self.at);
            let (first, rest) = cut(slices, now);
            self.within_block(first, &term);
            slices = rest;
            if self.at == BLOCK {
                self.close();
            }
        }
    }

    /// Single elements to the next multiple of [`LANES`], then as many at once.
    #[inline(always)]
    fn within_block<const S: usize>(&mut self, slices: [&[f32]; S], term: &impl Fn([f32; S]) -> f64) {
        let (head, rest) = cut(slices, (LANES - self.at % LANES) % LANES);
        self.singly(head, term);
        let chunked = rest.map(|slice| slice.as_chunks::<LANES>());
        self.chunks(chunked.map(|(chunks, _)| chunks), term);
        self.singly(chunked.map(|(_, tail)| tail), term);
    }

    #[inline(always)]
    fn singly<const S: usize>(&mut self, slices: [&[f32]; S], term: &impl Fn([f32; S]) -> f64) {
        for i in 0..slices.first().map_or(0, |slice| slice.len()) {
            self.lanes[self.at % LANES] +=
                term(slices.map(|slice| slice.get(i).copied().unwrap_or_default()));
            self.at += 1;
        }
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "`k` is a place in each of the slices")]
    fn chunks<const S: usize>(&mut self, slices: [&[[f32; LANES]]; S], term: &impl Fn([f32; S]) -> f64) {
        let n = slices.iter().map(|slice| slice.len()).min().unwrap_or(0);
        // The compiler knows that `n` is within each slice.
        let slices = slices.map(|slice| &slice[..n]);
        // A copy, so that the lanes stay in registers.
        let mut lanes = self.lanes;
        for k in 0..n {
            for (i, lane) in lanes.iter_mut().enumerate() {
                *lane += term(array::from_fn(|s| slices[s][k][i]));
            }
        }
        self.lanes = lanes;
        self.at += n * LANES;
    }

    /// Adds the block to the total.
    fn close(&mut self) {
        self.total.add(tree(core::mem::replace(&mut self.lanes, [0.0; LANES])));
        self.at = 0;
    }

    /// The sum over all that came.
    pub(crate) fn finish(mut self) -> ExactSum {
        if self.at > 0 {
            self.close();
        }
        self.total
    }
}

/// The first `mid` elements, or all where there are fewer, and the others.
#[inline(always)]
fn cut<const S: usize>(slices: [&[f32]; S], mid: usize) -> ([&[f32]; S], [&[f32]; S]) {
    let halves = slices.map(|slice| slice.split_at(mid.min(slice.len())));
    (halves.map(|(first, _)| first), halves.map(|(_, rest)| rest))
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

    const LONGEST: usize = 10_000;

    fn wave(i: usize) -> f32 {
        (i * 7919 % 1000) as f32 / 7.0 - 60.0
    }

    fn sum(cuts: impl Iterator<Item = usize>, term: fn(f64) -> f64) -> f64 {
        let mut blocks = Blocks::new();
        let mut at = 0;
        for len in cuts {
            let values: [f32; LONGEST] = array::from_fn(|i| wave(at + i));
            blocks.push([&values[..len]], |[x]| term(x.into()));
            at += len;
        }
        blocks.finish().total()
    }

    #[test]
    fn how_elements_come_does_not_matter() {
        let len = 2 * BLOCK + 100;
        let whole = sum([len].into_iter(), |x| x * x);
        for piece in [1, 7, 16, 100, 1024, 4096] {
            let pieces = (0..len).step_by(piece).map(|at| piece.min(len - at));
            assert_eq!(sum(pieces, |x| x * x).to_bits(), whole.to_bits(), "in pieces of {piece}");
        }
    }

    #[test]
    fn the_sum_is_right() {
        for len in [0, 1, 15, 16, 17, 4095, 4096, 4097, LONGEST] {
            let exact = |term: fn(f64) -> f64| (0..len).map(|i| term(wave(i).into())).sum::<f64>();
            let (value, square) = (sum([len].into_iter(), |x| x), sum([len].into_iter(), |x| x * x));
            assert!((value - exact(|x| x)).abs() <= 1e-9);
            assert!((square - exact(|x| x * x)).abs() <= 1e-12 * exact(|x| x * x));
        }
    }
}
