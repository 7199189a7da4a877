//! One parameter slice with its gradient and its state: what a model is a list of.

use core::{array, ops};

use crate::{
    error::{Error, Name},
    rule::{
        rule::Rule,
        slots::{Extent, Initial, Slot},
    },
    sweep::{
        kernels::{Sweep, Tagged},
        measure::{MAX_SCALARS, Whole},
    },
    tensor::tiles::{Buffer, part, part_if_any, part_mut, tiles},
};
#[cfg(feature = "std")]
use crate::{
    numbers::blocks::BLOCK,
    threads::queue::{Range, Share},
};

/// The most state slices that a [`Tensor`] can hold.
pub(crate) const MAX_STATE: usize = 8;

/// A parameter slice, its gradient, and its state slices, all borrowed from the caller.
///
/// [`Workers::step_model`](crate::Workers::step_model) steps a list of them in one call.
#[derive(Debug)]
pub struct Tensor<'a> {
    /// The state slices beyond `slots` are empty.
    slices: Slices<'a, MAX_STATE>,
    slots: usize,
    /// How many steps it has taken, where the caller counts them for this tensor alone.
    counter: Option<&'a mut u64>,
    tag: Tag,
    /// The scalars, once they are settled: a range of the tensor needs them as well.
    settled: [f64; MAX_SCALARS],
}

#[cfg(feature = "std")]
impl Share for Tensor<'_> {
    type Range<'r>
        = Tensor<'r>
    where
        Self: 'r;

    fn range(&mut self) -> Tensor<'_> {
        let Self { slices: Slices { params, grads, state, changes }, slots, tag, settled, .. } = self;
        let state = state.each_mut().map(|slice| &mut **slice);
        Tensor {
            slices: Slices { params, grads, state, changes },
            slots: *slots,
            counter: None,
            tag: *tag,
            settled: *settled,
        }
    }

    fn bytes(&self) -> usize {
        self.len().saturating_mul(self.bytes_per_element())
    }
}

#[cfg(feature = "std")]
impl Range for Tensor<'_> {
    fn len(&self) -> usize {
        self.slices.params.len()
    }

    /// Parameter and state both ways, the gradient once.
    fn bytes_per_element(&self) -> usize {
        size_of::<f32>() * (3 + 2 * self.slots)
    }

    /// Whole blocks, so that sums over them can be shared as well. They are also whole pages: no two threads write one cache
    /// line, and the hardware's prefetchers, which stop at pages, lose nothing.
    fn granule(&self) -> usize {
        BLOCK
    }

    fn split_at(self, mid: usize) -> (Self, Self) {
        let Self { slices, slots, tag, settled, .. } = self;
        let (first, rest) = slices.split_at(mid);
        let piece = |slices| Self { slices, slots, counter: None, tag, settled };
        (piece(first), piece(rest))
    }
}

/// What fills an array of slices until it is known which.
#[inline(always)]
pub(crate) fn no_slices<'a, T, const N: usize>() -> [&'a mut [T]; N] {
    array::from_fn(|_| &mut [] as &mut [T])
}

/// What a kernel with `N` values of state goes over.
#[derive(Debug)]
pub(crate) struct Slices<'a, const N: usize> {
    pub(crate) params: &'a mut [f32],
    pub(crate) grads: &'a [f32],
    pub(crate) state: [&'a mut [f32]; N],
    /// Where the kernel's changes are written to; empty where nobody asks.
    pub(crate) changes: &'a mut [f32],
}

impl<'a, const N: usize> Slices<'a, N> {
    /// The first `mid` elements, and the others. Not inlined: it would be in each rule's loop, where it is needed once.
    #[inline(never)]
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        let (params, params_rest) = self.params.split_at_mut(mid.min(self.params.len()));
        let (grads, grads_rest) = self.grads.split_at(mid.min(self.grads.len()));
        let (mut state, mut state_rest) = (self.state, no_slices());
        for (first, rest) in state.iter_mut().zip(&mut state_rest) {
            let slice = core::mem::take(first);
            (*first, *rest) = slice.split_at_mut(mid.min(slice.len()));
        }
        let (changes, changes_rest) = self.changes.split_at_mut(mid.min(self.changes.len()));
        (
            Self { params, grads, state, changes },
            Self { params: params_rest, grads: grads_rest, state: state_rest, changes: changes_rest },
        )
    }
}

/// Which of several rules steps a tensor, and at which step.
///
/// Sorted by it, tensors that are stepped together are neighbours, in the order of their list: the first of them is the one
/// whose scalars they go on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) group: usize,
    pub(crate) step: u64,
    /// The place in an optimizer's list.
    pub(crate) place: usize,
    /// Whether its state has still to be made, right before its first step. Only an optimizer makes state.
    pub(crate) fresh: bool,
}

impl Tag {
    /// Whether one rule steps both.
    pub(crate) fn has_rule_of(self, other: Self) -> bool {
        self.group == other.group
    }

    /// Whether one rule steps both, at the same step.
    pub(crate) fn goes_with(self, other: Self) -> bool {
        (self.group, self.step) == (other.group, other.step)
    }
}

impl<'a> Tensor<'a> {
    /// Puts the slices together. Their lengths are checked when they are stepped, when the rule is known.
    ///
    /// # Errors
    /// [`Error::TooManySlices`] for more than 8 state slices.
    pub fn new(
        params: &'a mut [f32],
        grads: &'a [f32],
        state: impl IntoIterator<Item = &'a mut [f32]>,
    ) -> Result<Self, Error> {
        let mut slices = state.into_iter();
        let mut slots = 0;
        let state = array::from_fn(|_| match slices.next() {
            Some(slice) => {
                slots += 1;
                slice
            }
            None => &mut [],
        });
        let surplus = slices.count();
        if surplus > 0 {
            return Err(Error::TooManySlices { found: slots + surplus, most: MAX_STATE });
        }
        Ok(Self {
            slices: Slices { params, grads, state, changes: &mut [] },
            slots,
            counter: None,
            tag: Tag::default(),
            settled: [0.0; MAX_SCALARS],
        })
    }

    /// Counts the steps of this tensor by itself: the next one has the number `*counter + 1`, whatever number the others
    /// take, and `*counter` holds that number afterwards. It stays where the step is refused, or not taken.
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
    pub(crate) fn start<R: Rule>(&mut self, rule: &R) {
        let Slices { params, state, .. } = &mut self.slices;
        start(rule, state, |i| params.get(i).copied().unwrap_or_default());
    }

    /// The same from state slices in the form that [`step()`](crate::step()) takes.
    pub(crate) fn borrow(
        params: &'a mut [f32],
        grads: &'a [f32],
        state: &'a mut [&mut [f32]],
    ) -> Result<Self, Error> {
        Self::new(params, grads, state.iter_mut().map(|slice| &mut **slice))
    }

    pub(crate) fn len(&self) -> usize {
        self.slices.params.len()
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn tagged(self, tag: Tag) -> Self {
        Self { tag, ..self }
    }

    /// The slices, the number of their state known at compile time; `None` where there are fewer.
    #[inline(always)]
    pub(crate) fn slices<const N: usize>(&mut self) -> Option<Slices<'_, N>> {
        let Slices { params, grads, state, changes } = &mut self.slices;
        let mut lent: [&mut [f32]; N] = no_slices();
        for (lent, slice) in lent.iter_mut().zip(state.first_chunk_mut::<N>()?) {
            *lent = slice;
        }
        Some(Slices { params, grads, state: lent, changes })
    }

    pub(crate) fn raw(&mut self) -> &mut Slices<'a, MAX_STATE> {
        &mut self.slices
    }

    pub(crate) fn settled(&self) -> [f64; MAX_SCALARS] {
        self.settled
    }

    /// The step that comes next has this number, unless the tensor counts its own.
    pub(crate) fn begin(&mut self, step: u64) {
        self.tag.step = next_step(self.counter.as_deref(), step);
    }

    /// The step has been taken.
    pub(crate) fn count(&mut self) {
        if let Some(counter) = &mut self.counter {
            **counter = self.tag.step;
        }
    }

    /// A piece for a kernel, without what the whole has beside its slices.
    pub(crate) fn tile(
        params: &'a mut [f32],
        grads: &'a [f32],
        state: [&'a mut [f32]; MAX_STATE],
        changes: &'a mut [f32],
    ) -> Self {
        Self {
            slices: Slices { params, grads, state, changes },
            slots: MAX_STATE,
            counter: None,
            tag: Tag::default(),
            settled: [0.0; MAX_SCALARS],
        }
    }

    /// Gives all of it to a sweep, tile by tile.
    pub(crate) fn feed(&mut self, sweep: Sweep<'_>) {
        for tile in tiles(&(0..self.len())) {
            sweep(&mut [self.part(tile)]);
        }
    }

    /// Some of its elements.
    fn part(&mut self, range: ops::Range<usize>) -> Tensor<'_> {
        let Slices { params, grads, state, .. } = &mut self.slices;
        let state = state.each_mut().map(|slice| part_if_any(slice, &range));
        Tensor::tile(part_mut(params, &range), part(grads, &range), state, &mut [])
    }

    /// The first `N` slots: the state slices that are as long as the parameters, then `outputs`.
    #[inline(always)]
    pub(crate) fn with_outputs<'b, const N: usize>(
        &'b mut self,
        long: usize,
        outputs: &'b mut [Buffer],
    ) -> Slices<'b, N> {
        let len = self.len();
        let Slices { params, grads, state, .. } = &mut self.slices;
        let long = state.iter_mut().take(long).map(|slice| &mut **slice);
        let mut slots = long.chain(outputs.iter_mut().map(|output| part_mut(output, &(0..len))));
        let state = array::from_fn(|_| slots.next().unwrap_or_default());
        Slices { params, grads, state, changes: &mut [] }
    }

    /// Whether a rule that asks for this state can step these slices.
    pub(crate) fn check(&self, layout: &Layout) -> Result<(), Error> {
        check_length("grads", self.len(), self.slices.grads.len())?;
        self.check_state(layout)
    }

    /// Before a first step the state must be what the rule starts from.
    pub(crate) fn check_start<R: Rule>(&self, rule: &R) -> Result<(), Error> {
        if self.tag.step > 1 {
            return Ok(());
        }
        let Slices { params, state, .. } = &self.slices;
        check_start(rule, state, |i| params.get(i).copied().unwrap_or_default())
    }

    /// The same as `check`, but for the gradient.
    pub(crate) fn check_state(&self, layout: &Layout) -> Result<(), Error> {
        layout.check_count(self.slots)?;
        layout.check_lengths(self.len(), self.slices.state.iter().map(|slice| slice.len()))
    }
}

impl Tagged for Tensor<'_> {
    fn tag(&self) -> Tag {
        self.tag
    }
}

impl Whole for Tensor<'_> {
    fn scalars(&self, slots: &[Slot]) -> [f64; MAX_SCALARS] {
        read_scalars(slots, &self.slices.state)
    }

    fn settle(&mut self, slots: &[Slot], scalars: [f64; MAX_SCALARS]) {
        write_scalars(slots, &mut self.slices.state, scalars);
        self.settled = scalars;
    }

    fn factor(&self) -> f32 {
        1.0
    }

    fn is_left_out(&self) -> bool {
        false
    }
}

/// What the state holds about the whole tensor, then zeros.
pub(crate) fn read_scalars(slots: &[Slot], state: &[&mut [f32]; MAX_STATE]) -> [f64; MAX_SCALARS] {
    let mut scalars = [0.0; MAX_SCALARS];
    let held = slots.iter().zip(state).filter(|(slot, _)| !slot.is_full());
    scalars.iter_mut().zip(held).for_each(|(scalar, (slot, slice))| *scalar = slot.read(slice));
    scalars
}

/// Puts them there.
pub(crate) fn write_scalars(
    slots: &[Slot],
    state: &mut [&mut [f32]; MAX_STATE],
    scalars: [f64; MAX_SCALARS],
) {
    let held = slots.iter().zip(state).filter(|(slot, _)| !slot.is_full());
    held.zip(scalars).for_each(|((slot, slice), scalar)| slot.write(slice, scalar));
}

/// The number of a tensor's next step: that of its own counter, or else that of the call.
pub(crate) fn next_step(counter: Option<&u64>, step: u64) -> u64 {
    counter.map_or(step, |steps| steps.saturating_add(1))
}

/// Writes the state that comes before a first step. What the caller fills is left alone.
pub(crate) fn start<R: Rule>(rule: &R, state: &mut [&mut [f32]], param: impl Fn(usize) -> f32) {
    for (place, (slot, slice)) in rule.slots().iter().zip(state).enumerate() {
        let elements = slice.iter_mut().enumerate();
        match slot.initial {
            Initial::Caller => {}
            Initial::Param => elements.for_each(|(i, x)| *x = param(i)),
            Initial::Zero | Initial::Rule => {
                let initial = initial(rule, place, slot);
                elements.for_each(|(i, x)| *x = if i == 0 || slot.is_full() { initial } else { 0.0 });
            }
        }
    }
}

/// The number that a slot starts from which starts from a number.
fn initial<R: Rule>(rule: &R, place: usize, slot: &Slot) -> f32 {
    if slot.initial == Initial::Rule { rule.initial(place) } else { 0.0 }
}

/// Whether the state is what [`start`] writes.
pub(crate) fn check_start<R: Rule>(
    rule: &R,
    state: &[&mut [f32]],
    param: impl Fn(usize) -> f32,
) -> Result<(), Error> {
    for (place, (slot, slice)) in rule.slots().iter().zip(state).enumerate() {
        let number = initial(rule, place, slot);
        let expected = |i| match slot.initial {
            Initial::Param => param(i),
            _ if i == 0 || slot.extent != Extent::Total => number,
            _ => 0.0,
        };
        let differs = |(i, x): &(usize, &f32)| **x != expected(*i) && !(x.is_nan() && expected(*i).is_nan());
        let wrong = slice.iter().enumerate().find(differs).filter(|_| slot.initial != Initial::Caller);
        if let Some((element, found)) = wrong {
            let (rule, slice, expected) = (rule.name(), slot.name, expected(element));
            return Err(Error::FirstState { tensor: None, rule, slice, element, expected, found: *found });
        }
    }
    Ok(())
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

fn check_length(slice: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { slice, expected, found }) }
}

/// What state a rule asks for, looked up once for all tensors of a model.
pub(crate) struct Layout {
    pub(crate) rule: &'static str,
    pub(crate) slots: &'static [Slot],
}

impl Layout {
    /// For tensors whose state an optimizer keeps.
    #[cfg(feature = "alloc")]
    pub(crate) const KEPT_ELSEWHERE: Self = Self { rule: "the optimizer", slots: &[] };

    pub(crate) fn of<R: Rule>(rule: &R) -> Self {
        Self { rule: rule.name(), slots: rule.slots() }
    }

    /// Whether there are as many slices as the rule has slots.
    pub(crate) fn check_count(&self, found: usize) -> Result<(), Error> {
        let Self { rule, slots: expected } = *self;
        if found == expected.len() { Ok(()) } else { Err(Error::StateCount { rule, expected, found }) }
    }

    /// Whether slices of these lengths fit so many parameters.
    pub(crate) fn check_lengths(
        &self,
        params: usize,
        found: impl Iterator<Item = usize>,
    ) -> Result<(), Error> {
        let mut slots = self.slots.iter().zip(found);
        slots.try_for_each(|(slot, found)| check_length(slot.name, slot.len(params), found))
    }
}
