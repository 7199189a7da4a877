//! One parameter slice with its gradient, its state, and whatever else a step is to keep of it.

use core::array;

use crate::{
    error::Error,
    formats::{
        floats::{Floats, FloatsMut, Grads},
        slices::{MAX_STATE, Slices, no_slices},
    },
    name::Name,
    rule::{described::DescribedRule, limits::MAX_SCALARS, rule::Rule, slots::Slot},
    tensor::{
        grad_sums::GradSums,
        shared::Shared,
        state::{Layout, check_first_state, check_length, read_scalars, write_first_state, write_scalars},
        tag::Tag,
        telemetry::TelemetrySlot,
    },
};

/// A parameter slice, its gradient, and its state slices, all borrowed from the caller: what a model is a list of.
///
/// Parameters and gradients are `f32`, or `half::bf16` or `half::f16` with the feature `half`. State is `f32`. Gradients are
/// shared or mutable; a [`Pass`](crate::Pass) can zero the latter.
///
/// [`Workers::step_model`](crate::Workers::step_model) steps a list of them in one call. What else a training step may do to a
/// parameter is in two places: the [`Pass`](crate::Pass) has what holds for all tensors, and the methods here take the slices for
/// it. [`Workers::step_pass`](crate::Workers::step_pass) does it.
// In this order in memory: what a step without a pass looks at comes first, in a few cache lines.
#[derive(Debug)]
#[repr(C)]
pub struct Tensor<'a> {
    pub(crate) plan: Decision,
    /// How many steps it has taken, where the caller counts them for this tensor alone.
    counter: Option<&'a mut u64>,
    pub(crate) slots: usize,
    /// True if it has something that only a pass looks at.
    needs_pass: bool,
    pub(crate) params: FloatsMut<'a>,
    pub(crate) grads: Grads<'a>,
    /// The state slices beyond `slots` are empty.
    pub(crate) state: [&'a mut [f32]; MAX_STATE],
    /// The scalars as they were settled, before they were rounded for the state.
    pub(crate) settled: [f64; MAX_SCALARS],
    pub(crate) extras: Extras<'a>,
    pub(crate) sums: Shared<GradSums>,
    /// Those of all shards of a tensor, where this is one of them.
    of_shards: Option<GradSums>,
}

/// What only a pass looks at.
#[derive(Debug, Default)]
pub(crate) struct Extras<'a> {
    pub(crate) more_grads: &'a [Floats<'a>],
    pub(crate) average: Option<&'a mut [f32]>,
    /// How many steps are in the average.
    pub(crate) averaged: Option<&'a mut u64>,
    pub(crate) copy: Option<FloatsMut<'a>>,
    pub(crate) telemetry: Option<&'a TelemetrySlot>,
    pub(crate) rows: Option<usize>,
    pub(crate) offset: usize,
}

/// What has been decided for a tensor before its step.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Decision {
    pub(crate) tag: Tag,
    pub(crate) skip: bool,
    /// How many elements a row has; 0 where nothing goes by rows.
    pub(crate) row_len: usize,
    /// True if the tensor must not be cut: all of it is one unit.
    pub(crate) in_one: bool,
    /// Unscaling and clipping in one.
    pub(crate) factor: f32,
    /// A power of 2 that is a part of this factor, where one `f32` is not enough for it. The gradient goes through the scratch
    /// then, to be multiplied with it.
    pub(crate) shift: Option<f32>,
    /// What the new parameters weigh in the average, at a step that they go into it.
    pub(crate) average: Option<f32>,
}

impl Decision {
    /// The plan of a step without a pass.
    pub(crate) fn plain(tag: Tag) -> Self {
        Self { tag, skip: false, row_len: 0, in_one: false, factor: 1.0, shift: None, average: None }
    }
}

impl<'a> Tensor<'a> {
    /// Puts the slices together. Their lengths are checked when they are stepped, when the rule is known.
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
        Ok(Self { state, slots, ..Self::without_state(params, grads) })
    }

    /// A tensor of a rule that keeps no state, or whose state an [`Optimizer`](crate::Optimizer) keeps.
    pub fn without_state(params: impl Into<FloatsMut<'a>>, grads: impl Into<Grads<'a>>) -> Self {
        let (params, grads) = (params.into(), grads.into());
        Self {
            plan: Decision::plain(Tag::default()),
            counter: None,
            slots: 0,
            needs_pass: !(matches!(params, FloatsMut::F32(_)) && grads.is_single()),
            params,
            grads,
            state: no_slices(),
            settled: [0.0; MAX_SCALARS],
            extras: Extras::default(),
            sums: Shared::default(),
            of_shards: None,
        }
    }

    /// The same from state slices in the form that [`step()`](crate::step()) takes.
    pub(crate) fn borrow(
        params: &'a mut [f32],
        grads: &'a [f32],
        state: &'a mut [&mut [f32]],
    ) -> Result<Self, Error> {
        Self::new(params, grads, state.iter_mut().map(|slice| &mut **slice))
    }

    /// Counts the steps of this tensor by itself: the next one has the number `*counter + 1`, whatever number the others
    /// take, and `*counter` holds that number afterwards. It stays where the step is refused, or not taken.
    #[must_use]
    pub fn counter(self, counter: &'a mut u64) -> Self {
        Self { counter: Some(counter), ..self }
    }

    /// The gradients of further micro-batches, which are added to the first one's, in this order. For a pass.
    #[must_use]
    pub fn more_grads(mut self, more_grads: &'a [Floats<'a>]) -> Self {
        self.needs_pass = true;
        self.extras.more_grads = more_grads;
        self
    }

    /// A running average of the parameters, as long as they are, kept as [`Pass::average`](crate::Pass::average) says.
    ///
    /// `averaged` is the number of steps that are in it: 0 at first, when it does not matter what the slice holds. A step that
    /// goes into the average adds 1; one that is refused or skipped does not. A checkpoint has both.
    #[must_use]
    pub fn average(mut self, average: &'a mut [f32], averaged: &'a mut u64) -> Self {
        self.needs_pass = true;
        (self.extras.average, self.extras.averaged) = (Some(average), Some(averaged));
        self
    }

    /// Returns where the new parameters are to be copied to, rounded to nearest even: as many 16-bit floats. For a pass.
    /// Where that has [`bounds`](crate::Pass::bounds) these hold for the copy as well; rows that
    /// [`max_norm`](crate::Pass::max_norm) holds, and whose copies might be above it, are rounded towards zero instead.
    #[must_use]
    pub fn copy_out(mut self, copy: impl Into<FloatsMut<'a>>) -> Self {
        self.needs_pass = true;
        self.extras.copy = Some(copy.into());
        self
    }

    /// Returns where a pass is to put telemetry of this tensor's step.
    #[must_use]
    pub fn telemetry(mut self, slot: &'a TelemetrySlot) -> Self {
        self.needs_pass = true;
        self.extras.telemetry = Some(slot);
        self
    }

    /// Says that the tensor is a matrix of so many rows, each of consecutive elements, and each a unit: what one output
    /// depends on, in PyTorch's layout of weights. For the parts of a pass that go by rows.
    ///
    /// Rows are worked on one at a time; a tensor that threads are to share is cut at multiples of both a row and 4096
    /// elements.
    #[must_use]
    pub fn rows(mut self, rows: usize) -> Self {
        self.needs_pass = true;
        self.extras.rows = Some(rows);
        self
    }

    /// Says that the slices are a shard of a larger tensor, and begin at this element of it, a multiple of 4096, and of the
    /// length of a row where there are [rows](Self::rows), which are those of the shard. For a pass.
    #[must_use]
    pub fn shard_at(mut self, offset: usize) -> Self {
        self.needs_pass = true;
        self.extras.offset = offset;
        self
    }

    /// The number of parameters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what the state of this rule is before the first step, as [`init_state`](crate::init_state) does.
    ///
    /// # Errors
    /// [`Error::StateCount`], [`Error::Length`]; nothing has changed then.
    pub fn init_state<R: Rule>(&mut self, rule: &R) -> Result<(), Error> {
        self.check_state(&Layout::of(rule.erased()))?;
        self.write_first_state(rule.erased());
        Ok(())
    }

    /// The same for state that is known to fit.
    pub(crate) fn write_first_state(&mut self, rule: &dyn DescribedRule) {
        let params = self.params.as_floats();
        write_first_state(rule, &mut self.state, |i| params.get(i));
    }

    /// Before a first step the state must be what the rule starts from.
    pub(crate) fn check_first_state(&self, rule: &dyn DescribedRule) -> Result<(), Error> {
        if self.plan.tag.step > 1 {
            return Ok(());
        }
        let params = self.params.as_floats();
        check_first_state(rule, &self.state, |i| params.get(i))
    }

    /// Returns whether a rule that asks for this state can step these slices, one after the other, without a pass.
    pub(crate) fn check(&self, layout: &Layout) -> Result<(), Error> {
        check_length("grads", self.len(), self.grads.len())?;
        self.check_state(layout)?;
        if self.is_plain() { Ok(()) } else { Err(Error::NeedsPass { tensor: None }) }
    }

    /// Returns whether there are as many state slices as the rule has slots, and as long ones.
    pub(crate) fn check_state(&self, layout: &Layout) -> Result<(), Error> {
        layout.check_count(self.slots)?;
        layout.check_lengths(self.len(), self.state.iter().map(|slice| slice.len()))
    }

    /// Returns whether it has nothing that only a pass looks at.
    pub(crate) fn is_plain(&self) -> bool {
        !self.needs_pass
    }

    /// The slices as a kernel takes them, if there is nothing to be converted.
    #[inline(always)]
    pub(crate) fn slices<const N: usize>(&mut self) -> Option<Slices<'_, N>> {
        let FloatsMut::F32(params) = &mut self.params else { return None };
        let grads = self.grads.single()?;
        let mut state: [&mut [f32]; N] = no_slices();
        for (lent, slice) in state.iter_mut().zip(self.state.first_chunk_mut::<N>()?) {
            *lent = slice;
        }
        Some(Slices { params, grads, state, changes: &mut [] })
    }

    pub(crate) fn tag(&self) -> Tag {
        self.plan.tag
    }

    /// The step that comes next has this number, unless the tensor counts its own.
    pub(crate) fn begin(&mut self, step: u64) {
        let step = self.counter.as_deref().map_or(step, |steps| steps.saturating_add(1));
        self.plan.tag.step = step;
        (self.plan.skip, self.plan.factor) = (false, 1.0);
    }

    /// The step has been taken.
    pub(crate) fn count(&mut self) {
        if let Some(counter) = &mut self.counter {
            **counter = self.plan.tag.step;
        }
    }

    /// Returns what its state holds about the whole tensor.
    pub(crate) fn scalars(&self, slots: &[Slot]) -> [f64; MAX_SCALARS] {
        read_scalars(slots, &self.state)
    }

    /// Puts that back, and keeps it for the step as it is before it is rounded.
    pub(crate) fn settle(&mut self, slots: &[Slot], scalars: [f64; MAX_SCALARS]) {
        write_scalars(slots, &mut self.state, scalars);
        self.settled = scalars;
    }

    /// Returns how many elements of the gradient the last pass found to be NaN or infinite; 0 unless it looked.
    #[must_use]
    pub fn non_finite(&self) -> u64 {
        self.sums.get().non_finite
    }

    /// Returns whether the last pass left this tensor as it was.
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
    pub(crate) fn whole_sums(&self) -> GradSums {
        self.of_shards.unwrap_or_else(|| self.sums())
    }

    /// Makes room for what is to be measured.
    pub(crate) fn forget_sums(&mut self) {
        self.sums.set(GradSums::default());
        self.of_shards = None;
    }
}

#[cfg(feature = "alloc")]
impl<'a> Tensor<'a> {
    /// Returns whether it was given state slices.
    pub(crate) fn has_state(&self) -> bool {
        self.slots > 0
    }

    /// Returns whether the caller counts the steps.
    pub(crate) fn counts_itself(&self) -> bool {
        self.counter.is_some()
    }

    /// The same for a shorter time, with state that is kept elsewhere.
    pub(crate) fn with_state<'b>(
        &'b mut self,
        state: impl Iterator<Item = &'b mut [f32]>,
        tag: Tag,
    ) -> Result<Tensor<'b>, Error> {
        let mut tensor = Tensor::new(self.params.reborrow(), self.grads.reborrow(), state)?;
        tensor.needs_pass = self.needs_pass;
        let Extras { more_grads, average, averaged, copy, telemetry, rows, offset } = &mut self.extras;
        tensor.extras = Extras {
            more_grads,
            average: average.as_deref_mut(),
            averaged: averaged.as_deref_mut(),
            copy: copy.as_mut().map(FloatsMut::reborrow),
            telemetry: *telemetry,
            rows: *rows,
            offset: *offset,
        };
        tensor.plan = Decision::plain(tag);
        Ok(tensor)
    }

    /// Returns what a step found of the tensor.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome { place: self.plan.tag.place, skipped: self.plan.skip, sums: self.sums() }
    }

    /// Takes over what a step found of another tensor that stands for this one.
    pub(crate) fn take_over(&mut self, outcome: &Outcome) {
        self.plan.skip = outcome.skipped;
        self.sums.set(outcome.sums);
    }
}

/// Results that are copied from a temporary tensor back to the caller's.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) place: usize,
    pub(crate) skipped: bool,
    sums: GradSums,
}

/// Checks all tensors of a list; a length that is refused names the tensor by its place.
pub(crate) fn check_each(
    tensors: &[Tensor<'_>],
    check: impl Fn(&Tensor<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut places = tensors.iter().enumerate();
    places.try_for_each(|(place, tensor)| {
        check(tensor).map_err(|error| error.of_tensor(|| Name::number(place)))
    })
}
