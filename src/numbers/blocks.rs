//! Sums over the elements of a tensor, the same bits whatever the instructions, the threads and the shards: within a
//! block in `f64`, in a fixed order; beyond it exactly.

use core::array;

use crate::numbers::exact_sum::ExactSum;

/// Elements that are summed up by themselves: blocks count from the tensor's start.
pub(crate) const BLOCK: usize = 4096;

/// Running sums within a block, so that they can be vectorised: element `i` of it goes to number `i % LANES`.
pub(crate) const LANES: usize = 16;

/// One value for each lane.
pub(crate) type Row<T> = [T; LANES];

/// What is added up: the terms of a row of elements, one row for each sum. Zeros stand where there is no element, and the
/// terms of zeros are 0.
pub(crate) trait Terms<const S: usize, const SUMS: usize> {
    fn add(&mut self, row: [&Row<f32>; S], lanes: &mut [Row<f64>; SUMS]);
}

/// Sums over elements that come in order, from the start of a block on.
pub(crate) struct Blocks<const SUMS: usize = 1> {
    lanes: [Row<f64>; SUMS],
    /// How many elements of the block have come.
    at: usize,
    totals: [ExactSum; SUMS],
}

impl<const SUMS: usize> Blocks<SUMS> {
    pub(crate) fn new() -> Self {
        Self { lanes: [[0.0; LANES]; SUMS], at: 0, totals: [ExactSum::default(); SUMS] }
    }

    /// Adds the terms of the next elements, made of as many floats as there are slices. These are equally long.
    #[inline(always)]
    pub(crate) fn push<const S: usize>(&mut self, mut slices: [&[f32]; S], mut terms: impl Terms<S, SUMS>) {
        while let Some(left) = slices.first().map(|slice| slice.len()).filter(|&left| left > 0) {
            let now = left.min(BLOCK - self.at);
            let (first, rest) = cut(slices, now);
            self.within_block(first, &mut terms);
            slices = rest;
            if self.at == BLOCK {
                self.close();
            }
        }
    }

    /// A part of a row to the next multiple of [`LANES`], then whole ones, then what is left.
    #[inline(always)]
    fn within_block<const S: usize>(&mut self, slices: [&[f32]; S], terms: &mut impl Terms<S, SUMS>) {
        let (head, rest) = cut(slices, (LANES - self.at % LANES) % LANES);
        self.part_of_row(head, terms);
        let chunked = rest.map(|slice| slice.as_chunks::<LANES>());
        self.rows(chunked.map(|(rows, _)| rows), terms);
        self.part_of_row(chunked.map(|(_, tail)| tail), terms);
    }

    /// At most twice for each piece that comes: in firmware once in the image, instead of once more for each place that adds.
    #[cfg_attr(feature = "std", inline(always))]
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn part_of_row<const S: usize>(&mut self, slices: [&[f32]; S], terms: &mut impl Terms<S, SUMS>) {
        let len = slices.first().map_or(0, |slice| slice.len());
        if len == 0 {
            return;
        }
        let padded = slices.map(|slice| {
            let mut row = [0.0; LANES];
            let lanes = row.iter_mut().skip(self.at % LANES);
            lanes.zip(slice).for_each(|(lane, x)| *lane = *x);
            row
        });
        terms.add(padded.each_ref(), &mut self.lanes);
        self.at += len;
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "`k` is a place in each of the slices")]
    fn rows<const S: usize>(&mut self, slices: [&[Row<f32>]; S], terms: &mut impl Terms<S, SUMS>) {
        let n = slices.iter().map(|slice| slice.len()).min().unwrap_or(0);
        // The compiler knows that `n` is within each slice.
        let slices = slices.map(|slice| &slice[..n]);
        // A copy, so that the lanes stay in registers.
        let mut lanes = self.lanes;
        for k in 0..n {
            terms.add(array::from_fn(|s| &slices[s][k]), &mut lanes);
        }
        self.lanes = lanes;
        self.at += n * LANES;
    }

    /// Adds the block to the totals.
    fn close(&mut self) {
        for (total, lanes) in self.totals.iter_mut().zip(&mut self.lanes) {
            total.add(tree(core::mem::replace(lanes, [0.0; LANES])));
        }
        self.at = 0;
    }

    /// The sums over all that came.
    pub(crate) fn finish(mut self) -> [ExactSum; SUMS] {
        if self.at > 0 {
            self.close();
        }
        self.totals
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

    struct Of(fn(f64) -> f64);

    impl Terms<1, 1> for Of {
        fn add(&mut self, [row]: [&Row<f32>; 1], [lanes]: &mut [Row<f64>; 1]) {
            lanes.iter_mut().zip(row).for_each(|(lane, x)| *lane += self.0((*x).into()));
        }
    }

    fn sum(cuts: impl Iterator<Item = usize>, term: fn(f64) -> f64) -> f64 {
        let mut blocks = Blocks::new();
        let mut at = 0;
        for len in cuts {
            let values: [f32; LONGEST] = array::from_fn(|i| wave(at + i));
            blocks.push([&values[..len]], Of(term));
            at += len;
        }
        blocks.finish()[0].total()
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
