//! A range of a tensor, with everything that a step may do to it: what threads share the work on a tensor by.

use core::ops::Range;

#[cfg(feature = "std")]
use crate::{formats::slices::Slices, numbers::blocks::BLOCK};
use crate::{
    formats::{
        floats::{Floats, FloatsMut, Grads},
        slices::MAX_STATE,
    },
    rule::limits::MAX_SCALARS,
    tensor::{
        grad_sums::GradSums,
        shared::Shared,
        telemetry::TelemetrySlot,
        tensor::{Decision, Extras, Tensor},
    },
};

/// Slices that are asked for ahead: parameters, gradients, and as much state as nearly all rules have.
pub(crate) const STREAMS: usize = 6;

/// A range of a tensor. It starts at the beginning of a block.
pub(crate) struct View<'a> {
    pub(crate) params: FloatsMut<'a>,
    pub(crate) grads: Grads<'a>,
    /// Of the whole tensor: `start` leads to the range.
    pub(crate) more_grads: &'a [Floats<'a>],
    pub(crate) state: [&'a mut [f32]; MAX_STATE],
    pub(crate) average: Option<&'a mut [f32]>,
    pub(crate) copy: Option<FloatsMut<'a>>,
    /// Where the range begins in its tensor.
    pub(crate) start: usize,
    #[cfg_attr(
        not(feature = "std"),
        expect(dead_code, reason = "it is for the sizes of what threads share")
    )]
    pub(crate) slots: usize,
    pub(crate) telemetry: Option<&'a TelemetrySlot>,
    pub(crate) sums: &'a Shared<GradSums>,
    pub(crate) plan: Decision,
    pub(crate) settled: [f64; MAX_SCALARS],
}

impl<'a> Tensor<'a> {
    /// All of it.
    pub(crate) fn view(&mut self) -> View<'_> {
        let Extras { more_grads, average, copy, telemetry, .. } = &mut self.extras;
        View {
            params: self.params.reborrow(),
            grads: self.grads.reborrow(),
            more_grads,
            state: self.state.each_mut().map(|slice| &mut **slice),
            average: average.as_deref_mut(),
            copy: copy.as_mut().map(FloatsMut::reborrow),
            start: 0,
            slots: self.slots,
            telemetry: *telemetry,
            sums: &self.sums,
            plan: self.plan,
            settled: self.settled,
        }
    }
}

impl View<'_> {
    #[cfg(feature = "std")]
    pub(crate) fn len(&self) -> usize {
        self.params.len()
    }

    /// The slices as a kernel takes them, if there is nothing to be converted.
    #[cfg(feature = "std")]
    pub(crate) fn slices(&mut self) -> Option<Slices<'_, MAX_STATE>> {
        let FloatsMut::F32(params) = &mut self.params else { return None };
        let grads = self.grads.single()?;
        let state = self.state.each_mut().map(|slice| &mut **slice);
        Some(Slices { params, grads, state, changes: &mut [] })
    }

    /// Returns what will be read from `at` on, or most of it.
    pub(crate) fn read_from(&self, at: usize) -> [&[f32]; STREAMS] {
        let [first, second, third, fourth, ..] =
            self.state.each_ref().map(|slice| slice.get(at..).unwrap_or_default());
        let (params, grads) = (self.params.as_floats(), self.grads.as_floats());
        [params.single_from(at), grads.single_from(at), first, second, third, fourth]
    }

    /// Asks for the beginning of what the next tile will read: the prefetching of the sweep ends with its tile.
    pub(crate) fn prefetch_read(&self, from: usize) {
        self.params.as_floats().prefetch(from);
        self.grads.as_floats().prefetch(from);
        self.state.iter().for_each(|slice| Floats::F32(slice).prefetch(from));
    }

    /// The same for what this tile will write after the sweep.
    pub(crate) fn prefetch_written(&self, from: usize) {
        self.average.iter().for_each(|average| Floats::F32(average).prefetch(from));
        self.copy.iter().for_each(|copy| copy.as_floats().prefetch(from));
    }

    /// Zeroes gradients that are mutable.
    pub(crate) fn zero_grads(&mut self, range: &Range<usize>) {
        if let Grads::Write(grads) = &mut self.grads {
            grads.zero(range);
        }
    }
}

#[cfg(feature = "std")]
impl Tensor<'_> {
    /// The memory traffic of a step, without what is rare.
    pub(crate) fn bytes(&self) -> usize {
        self.len().saturating_mul(bytes_per_element(self.slots))
    }
}

/// Parameter and state both ways, the gradient once.
#[cfg(feature = "std")]
pub(crate) fn bytes_per_element(slots: usize) -> usize {
    size_of::<f32>() * (3 + 2 * slots)
}

#[cfg(feature = "std")]
impl View<'_> {
    /// Returns how much memory a step of one element reads and writes.
    pub(crate) fn bytes_per_element(&self) -> usize {
        bytes_per_element(self.slots)
    }

    /// Cuts are at multiples of this many elements: whole rows, where something goes by rows, and whole blocks, so that sums over
    /// them can be shared as well. Blocks are also whole pages: no two threads write one cache line, and the hardware's
    /// prefetchers, which stop at pages, lose nothing.
    pub(crate) fn granule(&self) -> usize {
        match self.plan.row_len {
            _ if self.plan.in_one => usize::MAX,
            0 => BLOCK,
            row_len => least_common_multiple(row_len, BLOCK),
        }
    }

    /// The first `mid` elements, and the others.
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        let Self { slots, start, more_grads, telemetry, sums, plan, settled, .. } = self;
        let (params, later_params) = self.params.split_at(mid);
        let (grads, later_grads) = self.grads.split_at(mid);
        let mut halves = self.state.map(|slice| slice.split_at_mut(mid.min(slice.len())));
        let state = halves.each_mut().map(|(first, _)| core::mem::take(first));
        let later_state = halves.map(|(_, rest)| rest);
        let (average, later_average) = self.average.map(|average| average.split_at_mut(mid)).unzip();
        let (copy, later_copy) = self.copy.map(|copy| copy.split_at(mid)).unzip();
        let first = View {
            params,
            grads,
            more_grads,
            state,
            average,
            copy,
            start,
            slots,
            telemetry,
            sums,
            plan,
            settled,
        };
        let later = View {
            params: later_params,
            grads: later_grads,
            state: later_state,
            average: later_average,
            copy: later_copy,
            start: start + mid,
            more_grads,
            slots,
            telemetry,
            sums,
            plan,
            settled,
        };
        (first, later)
    }
}

#[cfg(feature = "std")]
/// `usize::MAX` where there is none that fits.
fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}
