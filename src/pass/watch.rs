//! Collects the telemetry of a range while it is stepped.

use core::array;

use crate::{
    numbers::{
        blocks::{Blocks, LANES, Row, Terms},
        exact_sum::ExactSum,
    },
    simd::prefetch::prefetch_for_later,
    tensor::{
        telemetry::{Counts, SUMS, Telemetry, larger},
        view::STREAMS,
    },
};

/// One tile, for [`Watch`] to look at.
pub(super) struct Seen<'t> {
    pub(super) grads: &'t [f32],
    /// What the rule multiplies the gradients with.
    pub(super) scale: f32,
    pub(super) old: &'t [f32],
    pub(super) new: &'t [f32],
    pub(super) changes: &'t [f32],
    /// Before and after.
    pub(super) momentum: [&'t [f32]; 2],
    /// What will be read next.
    pub(super) next: [&'t [f32]; STREAMS],
}

/// Collects the telemetry of a range.
pub(super) struct Watch {
    sums: Blocks<SUMS>,
    elements: usize,
    max_update: f32,
    counts: Counts,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { sums: Blocks::new(), elements: 0, max_update: 0.0, counts: Counts::default() }
    }

    #[inline(always)]
    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let &Seen { grads, scale, old, new, changes, momentum: [before, after], next } = seen;
        let mut look =
            RowStats { scale, next, rows: 0, largest: [self.max_update; LANES], counts: [[0; LANES]; 5] };
        self.sums.push([grads, changes, old, new, before, after], &mut look);
        self.elements += changes.len();
        self.max_update = look.largest.into_iter().fold(0.0, larger);
        self.counts.add(&look.counts(changes.len()));
    }

    /// Returns where the gradient was `measured` before, its sums come from there; else nothing clipped it.
    pub(super) fn finish(self, measured: bool, momentum: bool) -> Telemetry {
        let sums = self.sums.finish();
        Telemetry {
            elements: self.elements as u64,
            unclipped: if measured { ExactSum::default() } else { sums[0] },
            sums,
            max_update: self.max_update,
            counts: self.counts,
            compared: if momentum { self.elements as u64 } else { 0 },
        }
    }
}

/// What [`Watch`] does to each row, in one loop, so that a value is loaded and converted once.
struct RowStats<'t> {
    scale: f32,
    next: [&'t [f32]; STREAMS],
    rows: usize,
    // For each lane by itself, which keeps them in registers.
    largest: Row<f32>,
    /// Zeros, zeros and subnormals together, not finite, lost, agreeing.
    counts: [Row<u32>; 5],
}

impl Terms<6, SUMS> for &mut RowStats<'_> {
    #[inline(always)]
    fn add(
        &mut self,
        [&g, &update, &old, &new, &before, &after]: [&Row<f32>; 6],
        lanes: &mut [Row<f64>; SUMS],
    ) {
        self.ask_for_next();
        let g: Row<f32> = array::from_fn(|i| g[i] * self.scale);
        let [zeros, tiny, non_finite, lost, agreeing] = &mut self.counts;
        for i in 0..LANES {
            self.largest[i] = larger(self.largest[i], update[i].abs());
            let magnitude = g[i].abs().to_bits();
            zeros[i] += u32::from(magnitude == 0);
            tiny[i] += u32::from(magnitude < f32::MIN_POSITIVE.to_bits());
            non_finite[i] += u32::from(magnitude >= f32::INFINITY.to_bits());
            lost[i] += u32::from(old[i] == new[i]) & u32::from(update[i] != 0.0);
            let both_up = u32::from(before[i] > 0.0) & u32::from(after[i] > 0.0);
            let both_down = u32::from(before[i] < 0.0) & u32::from(after[i] < 0.0);
            agreeing[i] += both_up | both_down;
        }
        let [of_grads, of_updates, of_params, of_products] = lanes;
        for i in 0..LANES {
            let (g, update, old) = (f64::from(g[i]), f64::from(update[i]), f64::from(old[i]));
            of_grads[i] += g * g;
            of_updates[i] += update * update;
            of_params[i] += old * old;
            of_products[i] += update * g;
        }
    }
}

impl RowStats<'_> {
    /// This is work enough to hide a part of the wait for memory: a row of each slice is asked for while one is worked on.
    #[inline(always)]
    fn ask_for_next(&mut self) {
        self.next.iter().filter_map(|slice| slice.get(self.rows * LANES)).for_each(prefetch_for_later);
        self.rows += 1;
    }

    /// Of so many elements. The first row and the last may have been filled up with zeros, which were multiplied as well.
    #[inline(always)]
    fn counts(&self, elements: usize) -> Counts {
        let sum = |lanes: Row<u32>| lanes.into_iter().map(u64::from).sum::<u64>();
        let [zeros, tiny, non_finite, lost, agreeing] = self.counts.map(sum);
        let filled = (self.rows * LANES - elements) as u64;
        let subnormals = tiny - zeros;
        if self.scale.is_finite() {
            Counts { zeros: zeros - filled, subnormals, non_finite, lost, agreeing }
        } else {
            Counts { zeros, subnormals, non_finite: non_finite - filled, lost, agreeing }
        }
    }
}
