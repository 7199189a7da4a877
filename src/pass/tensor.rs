//! One tensor with everything that a pass may do to it, and ranges of it for threads to share.

use core::array;

use crate::{
    error::{Error, Name},
    formats::floats::{Floats, FloatsMut, Grads},
    numbers::{blocks::BLOCK, exact_sum::ExactSum},
    pass::{
        pass::{Clip, Pass, leave_room},
        telemetry::TelemetrySlot,
    },
    rule::rule::Rule,
    sweep::measure::MAX_SCALARS,
    tensor::tensor::{Layout, MAX_STATE, Tag, check_start, next_step, start},
    threads::shared::Shared,
};

/// What a pass knows of a gradient before the step: exact sums, so that those of shards can be put together in any order,
/// with the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GradSums {
    pub(super) squares: ExactSum,
    pub(super) non_finite: u64,
}

impl GradSums {
    /// Adds what another shard, or another tensor, has.
    pub fn merge(&mut self, other: &Self) {
        self.squares.merge(&other.squares);
        self.non_finite += other.non_finite;
    }

    /// The norm, of the gradient as it is before it is clipped by norm.
    #[must_use]
    pub fn norm(&self) -> f64 {
        crate::numbers::math::sqrt(self.squares.total())
    }

    /// How many elements are NaN or infinite.
    #[must_use]
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }
}

/// A tensor in a [`Pass`](crate::Pass): parameters, gradient and state as in a [`Tensor`](crate::Tensor), in 16 bits too,
/// and slices for what else the pass is to keep.
#[derive(Debug)]
pub struct PassTensor<'a> {
    pub(super) params: FloatsMut<'a>,
    pub(super) grads: Grads<'a>,
    pub(super) more_grads: &'a [Floats<'a>],
    pub(super) state: [&'a mut [f32]; MAX_STATE],
    pub(super) slots: usize,
    pub(super) average: Option<&'a mut [f32]>,
    /// How many steps are in the average.
    averaged: Option<&'a mut u64>,
    /// How many steps the tensor has taken, where the caller counts them for this tensor alone.
    counter: Option<&'a mut u64>,
    pub(super) copy: Option<FloatsMut<'a>>,
    pub(super) telemetry: Option<&'a TelemetrySlot>,
    pub(super) rows: Option<usize>,
    pub(super) offset: usize,
    pub(super) sums: Shared<GradSums>,
    /// Those of all shards of a tensor, where this is one of them.
    of_shards: Option<GradSums>,
    pub(super) plan: Plan,
}

/// What the pass has decided for a tensor, before its step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) tag: Tag,
    /// How many elements a row has; 0 where nothing goes by rows.
    pub(super) row_len: usize,
    /// Whether the tensor must not be cut: all of it is one unit.
    pub(super) in_one: bool,
    /// Unscaling and clipping in one.
    pub(super) factor: f32,
    /// A power of 2 that is a part of this factor, where one `f32` is not enough for it. The gradient goes through the scratch
    /// then, to be multiplied with it.
    pub(super) shift: Option<f32>,
    pub(super) settled: [f64; MAX_SCALARS],
    pub(super) skip: bool,
    /// What the new parameters weigh in the average, at a step that they go into it.
    pub(super) average: Option<f32>,
}

/// What a pass found of a tensor, to be told by another that stands for the same one.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) place: usize,
    pub(crate) skipped: bool,
    sums: GradSums,
}

impl<'a> PassTensor<'a> {
    /// Puts the slices together: `f32`, or `half::bf16` or `half::f16` with the feature `half`. Gradients are shared or
    /// mutable; state is `f32`. Lengths are checked when the tensor is stepped.
    ///
    /// # Errors
    /// [`Error::TooManySlices`] for more than 8 state slices.
    pub fn new(
        params: impl Into<FloatsMut<'a>>,
        grads: impl Into<Grads<'a>>,
        state: impl IntoIterator<Item = &'a mut [f32]>,
    ) -> Result<Self, Error> {
        let mut slices = state.into_iter();
        let mut slots = 0;
        let state = array::from_fn(|_| {
            let slice = slices.next();
            slots += usize::from(slice.is_some());
            slice.unwrap_or_default()
        });
        let surplus = slices.count();
        if surplus > 0 {
            return Err(Error::TooManySlices { found: slots + surplus, most: MAX_STATE });
        }
        Ok(Self {
            params: params.into(),
            grads: grads.into(),
            more_grads: &[],
            state,
            slots,
            average: None,
            averaged: None,
            counter: None,
            copy: None,
            telemetry: None,
            rows: None,
            offset: 0,
            sums: Shared::default(),
            of_shards: None,
            plan: Plan::default(),
        })
    }

    /// The gradients of further micro-batches, which are added to the first one's, in this order.
    #[must_use]
    pub fn more_grads(self, more_grads: &'a [Floats<'a>]) -> Self {
        Self { more_grads, ..self }
    }

    /// A running average of the parameters, as long as they are, kept as [`Pass::average`](crate::Pass::average) says.
    ///
    /// `averaged` tells how many steps are in it: 0 at first, when it does not matter what the slice holds. A step that goes
    /// into the average adds 1; one that is refused or skipped does not. A checkpoint has both.
    #[must_use]
    pub fn average(self, average: &'a mut [f32], averaged: &'a mut u64) -> Self {
        Self { average: Some(average), averaged: Some(averaged), ..self }
    }

    /// Counts the steps of this tensor by itself: the next one has the number `*counter + 1`, whatever number the others
    /// take, and `*counter` holds that number afterwards. It stays where the step is refused or the tensor skipped.
    #[must_use]
    pub fn counter(self, counter: &'a mut u64) -> Self {
        Self { counter: Some(counter), ..self }
    }

    /// Writes what the state of this rule is before the first step, as [`init_state`](crate::init_state) does.
    ///
    /// # Errors
    /// [`Error::StateCount`], [`Error::Length`]; nothing has changed then.
    pub fn init_state<R: Rule>(&mut self, rule: &R) -> Result<(), Error> {
        self.check_state(&Layout::of(rule))?;
        self.start(rule);
        Ok(())
    }

    /// The same for state that is known to fit.
    pub(super) fn start<R: Rule>(&mut self, rule: &R) {
        let params = self.params.as_floats();
        start(rule, &mut self.state, |i| params.get(i));
    }

    /// Before a first step the state must be what the rule starts from.
    pub(super) fn check_start<R: Rule>(&self, rule: &R) -> Result<(), Error> {
        if self.plan.tag.step > 1 {
            return Ok(());
        }
        let params = self.params.as_floats();
        check_start(rule, &self.state, |i| params.get(i))
    }

    /// The number of the next step.
    pub(super) fn number(&mut self, step: u64) {
        self.plan.tag = Tag { step: next_step(self.counter.as_deref(), step), ..Tag::default() };
    }

    /// Whether the caller counts the steps.
    #[cfg(feature = "alloc")]
    pub(crate) fn counts_itself(&self) -> bool {
        self.counter.is_some()
    }

    /// Says what the coming step does to the average.
    pub(super) fn plan_average(&mut self, pass: &Pass) {
        let (step, averaged) = (self.plan.tag.step, self.averaged.as_deref().copied().unwrap_or(0));
        self.plan.average = pass.average.and_then(|average| average.weight(step, averaged));
    }

    /// The step has been taken.
    pub(super) fn count(&mut self, pass: &Pass) {
        let step = self.plan.tag.step;
        if let Some(counter) = &mut self.counter {
            **counter = step;
        }
        if let Some(averaged) = &mut self.averaged
            && pass.average.is_some_and(|average| average.takes_in(step))
        {
            **averaged = averaged.saturating_add(1);
        }
    }

    /// Where the new parameters are to be copied to, rounded to nearest even: as many 16-bit floats. Where a pass has
    /// [`bounds`](crate::Pass::bounds) these hold for the copy as well; rows that [`max_norm`](crate::Pass::max_norm) holds, and
    /// whose copies might be above it, are rounded towards zero instead.
    #[must_use]
    pub fn copy_out(self, copy: impl Into<FloatsMut<'a>>) -> Self {
        Self { copy: Some(copy.into()), ..self }
    }

    /// Where telemetry of this tensor's step is to be put.
    #[must_use]
    pub fn telemetry(self, slot: &'a TelemetrySlot) -> Self {
        Self { telemetry: Some(slot), ..self }
    }

    /// Tells that the tensor is a matrix of so many rows, each of consecutive elements, and each a unit: what one output
    /// depends on, in PyTorch's layout of weights. For the parts of a pass that go by rows.
    ///
    /// Rows are worked on one at a time; a tensor that threads are to share is cut at multiples of both a row and 4096
    /// elements.
    #[must_use]
    pub fn rows(self, rows: usize) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// Tells that the slices are a shard of a larger tensor, and begin at this element of it, a multiple of 4096, and of the
    /// length of a row where there are [rows](Self::rows), which are those of the shard.
    #[must_use]
    pub fn shard_at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// How many elements of the gradient the last pass found to be NaN or infinite; 0 unless it looked.
    #[must_use]
    pub fn non_finite(&self) -> u64 {
        self.sums.get().non_finite
    }

    /// Whether the last pass left this tensor as it was.
    #[must_use]
    pub fn skipped(&self) -> bool {
        self.plan.skip
    }

    /// The sums that [`Workers::measure_pass`](crate::Workers::measure_pass) found, for other shards.
    #[must_use]
    pub fn sums(&self) -> GradSums {
        self.sums.get()
    }

    /// The sums over all shards of this tensor, for [`Workers::finish_pass`](crate::Workers::finish_pass). Those of the
    /// shard itself stay, for its telemetry.
    pub fn set_sums(&mut self, sums: GradSums) {
        self.of_shards = Some(sums);
    }

    /// The sums over all of the tensor, of which this may be a shard.
    pub(super) fn whole_sums(&self) -> GradSums {
        self.of_shards.unwrap_or_else(|| self.sums())
    }

    /// Makes room for what is to be measured.
    pub(super) fn forget_sums(&mut self) {
        self.sums.set(GradSums::default());
        self.of_shards = None;
    }

    /// The number of parameters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it was given state slices.
    #[cfg(feature = "alloc")]
    pub(crate) fn has_state(&self) -> bool {
        self.slots > 0
    }

    /// The same for a shorter time, with state that is kept elsewhere.
    #[cfg(feature = "alloc")]
    pub(crate) fn with_state<'b>(
        &'b mut self,
        state: impl Iterator<Item = &'b mut [f32]>,
        tag: Tag,
    ) -> Result<PassTensor<'b>, Error> {
        let mut tensor = PassTensor::new(self.params.reborrow(), self.grads.reborrow(), state)?;
        tensor.more_grads = self.more_grads;
        tensor.average = self.average.as_deref_mut();
        tensor.averaged = self.averaged.as_deref_mut();
        tensor.copy = self.copy.as_mut().map(FloatsMut::reborrow);
        tensor.telemetry = self.telemetry;
        tensor.rows = self.rows;
        tensor.offset = self.offset;
        tensor.plan = Plan { tag, ..Plan::default() };
        Ok(tensor)
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome { place: self.plan.tag.place, skipped: self.plan.skip, sums: self.sums() }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn take_over(&mut self, outcome: &Outcome) {
        self.plan.skip = outcome.skipped;
        self.sums.set(outcome.sums);
    }

    /// How many elements a row has; 0 where nothing goes by rows.
    fn row_len(&self, pass: &Pass) -> usize {
        let rows = self.rows.filter(|_| pass.goes_by_rows());
        rows.and_then(|rows| self.len().checked_div(rows)).unwrap_or(0)
    }

    /// Makes it ready for a pass.
    pub(crate) fn begin(&mut self, pass: &Pass) {
        self.plan.row_len = self.row_len(pass);
        self.plan.in_one = self.rows.is_none() && matches!(pass.clip, Clip::Adaptive { .. });
        self.plan.shift = None;
        if let Some(slot) = self.telemetry {
            slot.clear();
        }
    }

    pub(super) fn check_state(&self, layout: &Layout) -> Result<(), Error> {
        layout.check_count(self.slots)?;
        layout.check_lengths(self.len(), self.state.iter().map(|slice| slice.len()))
    }

    /// Whether all slices fit the parameters. Those of the state are checked with the rule.
    pub(super) fn check_lengths(&self, tensor: impl Fn() -> Name) -> Result<(), Error> {
        let expected = self.len();
        let fits = |slice, found| {
            if found == expected {
                Ok(())
            } else {
                Err(Error::TensorLength { tensor: tensor(), slice, expected, found })
            }
        };
        fits("grads", self.grads.len())?;
        self.more_grads.iter().try_for_each(|grads| fits("more_grads", grads.len()))?;
        fits("average", self.average.as_ref().map_or(expected, |average| average.len()))?;
        fits("copy_out", self.copy.as_ref().map_or(expected, FloatsMut::len))?;
        if let Some(rows) = self.rows
            && (rows == 0 || !expected.is_multiple_of(rows))
        {
            return Err(Error::Rows { tensor: tensor(), rows, len: expected });
        }
        let row_len = self.rows.and_then(|rows| expected.checked_div(rows)).filter(|&len| len > 0);
        let begins_at = |block| {
            if self.offset.is_multiple_of(block) {
                Ok(())
            } else {
                Err(Error::ShardOffset { tensor: tensor(), offset: self.offset, block })
            }
        };
        begins_at(BLOCK).and(begins_at(row_len.unwrap_or(BLOCK)))
    }

    /// Whether bounds have a number between them in each format that the parameters are written in.
    pub(super) fn check_bounds(&self, bounds: (f32, f32), tensor: impl Fn() -> Name) -> Result<(), Error> {
        let written = [("params", Some(&self.params)), ("copy_out", self.copy.as_ref())];
        written.into_iter().try_for_each(|(slice, floats)| match floats.map(FloatsMut::as_floats) {
            Some(Floats::Half(format, _)) if !leave_room(format.within(bounds)) => {
                let (low, high) = bounds;
                Err(Error::FormatBounds { tensor: tensor(), slice, format, low, high })
            }
            _ => Ok(()),
        })
    }

    /// What the thread that steps all of it gets.
    pub(super) fn view(&mut self) -> View<'_> {
        View {
            params: self.params.reborrow(),
            grads: self.grads.reborrow(),
            more_grads: self.more_grads,
            state: self.state.each_mut().map(|slice| &mut **slice),
            average: self.average.as_deref_mut(),
            copy: self.copy.as_mut().map(FloatsMut::reborrow),
            start: 0,
            row_len: self.plan.row_len,
            slots: self.slots,
            telemetry: self.telemetry,
            sums: &self.sums,
            plan: self.plan,
        }
    }
}

/// A range of a tensor. It starts at the beginning of a block.
pub(crate) struct View<'a> {
    pub(super) params: FloatsMut<'a>,
    pub(super) grads: Grads<'a>,
    /// Of the whole tensor: `start` leads to the range.
    pub(super) more_grads: &'a [Floats<'a>],
    pub(super) state: [&'a mut [f32]; MAX_STATE],
    pub(super) average: Option<&'a mut [f32]>,
    pub(super) copy: Option<FloatsMut<'a>>,
    /// Where the range begins in its tensor.
    pub(super) start: usize,
    pub(super) row_len: usize,
    #[cfg_attr(not(feature = "std"), expect(dead_code, reason = "for sharing alone"))]
    pub(super) slots: usize,
    pub(super) telemetry: Option<&'a TelemetrySlot>,
    pub(super) sums: &'a Shared<GradSums>,
    pub(super) plan: Plan,
}
