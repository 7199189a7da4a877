//! One parameter slice with its gradient and its state: what a model is a list of.

use core::{array, ops};

use crate::{
    Error, Rule,
    error::Name,
    run::{Sweep, Tagged},
    tile::{Buffer, part, part_if_any, part_mut, tiles},
    whole::{MAX_SCALARS, Whole},
};
#[cfg(feature = "std")]
use crate::{
    blocks::BLOCK,
    share::{Range, Share},
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
    tag: Tag,
    /// The scalars, once they are settled: a range of the tensor needs them as well.
    settled: [f32; MAX_SCALARS],
}

#[cfg(feature = "std")]
impl Share for Tensor<'_> {
    type Range<'r>
        = Tensor<'r>
    where
        Self: 'r;

    fn range(&mut self) -> Tensor<'_> {
        let Self { slices: Slices { params, grads, state, changes }, slots, tag, settled } = self;
        let state = state.each_mut().map(|slice| &mut **slice);
        Tensor {
            slices: Slices { params, grads, state, changes },
            slots: *slots,
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
        let (first, rest) = self.slices.split_at(mid);
        (Self { slices: first, ..self }, Self { slices: rest, ..self })
    }
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
    /// The first `mid` elements, and the others.
    #[inline(always)]
    pub(crate) fn split_at(self, mid: usize) -> (Self, Self) {
        let (params, params_rest) = self.params.split_at_mut(mid.min(self.params.len()));
        let (grads, grads_rest) = self.grads.split_at(mid.min(self.grads.len()));
        let mut halves = self.state.map(|slice| slice.split_at_mut(mid.min(slice.len())));
        let state = halves.each_mut().map(|(first, _)| core::mem::take(first));
        let state_rest = halves.map(|(_, rest)| rest);
        let (changes, changes_rest) = self.changes.split_at_mut(mid.min(self.changes.len()));
        (
            Self { params, grads, state, changes },
            Self { params: params_rest, grads: grads_rest, state: state_rest, changes: changes_rest },
        )
    }
}

/// Which of several rules steps a tensor, and at which step. Tensors of one call to `step_model` have the same.
///
/// Sorted by it, tensors that are stepped together are neighbours, in the order of their list: the first of them is the one
/// whose scalars they go on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) group: usize,
    pub(crate) step: u64,
    /// The place in an optimizer's list.
    pub(crate) place: usize,
}

impl Tag {
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
            tag: Tag::default(),
            settled: [0.0; MAX_SCALARS],
        })
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
        let state = state.first_chunk_mut::<N>()?.each_mut().map(|slice| &mut **slice);
        Some(Slices { params, grads, state, changes })
    }

    fn scalars(&mut self, count: usize) -> impl Iterator<Item = &mut f32> {
        scalars(self.slices.state.get_mut(..self.slots).unwrap_or_default(), count)
    }

    pub(crate) fn settled(&self) -> [f32; MAX_SCALARS] {
        self.settled
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

    /// The same but for the gradient.
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
    fn read_scalars(&mut self, count: usize) -> [f32; MAX_SCALARS] {
        read_scalars(self.scalars(count))
    }

    fn write_scalars(&mut self, count: usize, scalars: [f32; MAX_SCALARS]) {
        self.scalars(count).zip(scalars).for_each(|(held, scalar)| *held = scalar);
        self.settled = scalars;
    }

    fn factor(&self) -> f32 {
        1.0
    }

    fn is_left_out(&self) -> bool {
        false
    }
}

/// What the last `count` state slices hold.
pub(crate) fn scalars<'s>(state: &'s mut [&mut [f32]], count: usize) -> impl Iterator<Item = &'s mut f32> {
    let long = state.len().saturating_sub(count);
    state.iter_mut().skip(long).flat_map(|slice| slice.first_mut())
}

/// As many as there are, then zeros.
pub(crate) fn read_scalars<'s>(held: impl Iterator<Item = &'s mut f32>) -> [f32; MAX_SCALARS] {
    let mut scalars = [0.0; MAX_SCALARS];
    scalars.iter_mut().zip(held).for_each(|(scalar, held)| *scalar = *held);
    scalars
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
    rule: &'static str,
    names: &'static [&'static str],
    /// How many of them are as long as the parameters.
    slices: usize,
}

impl Layout {
    /// For tensors whose state an optimizer keeps.
    #[cfg(feature = "alloc")]
    pub(crate) const KEPT_ELSEWHERE: Self = Self { rule: "the optimizer", names: &[], slices: 0 };

    pub(crate) fn of<R: Rule>(rule: &R) -> Self {
        let names = rule.state();
        Self { rule: rule.name(), names, slices: names.len().saturating_sub(rule.scalars()) }
    }

    /// State that is as long as the parameters.
    pub(crate) const fn slices(rule: &'static str, names: &'static [&'static str]) -> Self {
        Self { rule, names, slices: names.len() }
    }

    /// Whether there are as many slices as the rule names.
    pub(crate) fn check_count(&self, found: usize) -> Result<(), Error> {
        let Self { rule, names: expected, .. } = *self;
        if found == expected.len() { Ok(()) } else { Err(Error::StateCount { rule, expected, found }) }
    }

    /// Whether slices of these lengths fit so many parameters.
    pub(crate) fn check_lengths(
        &self,
        params: usize,
        found: impl Iterator<Item = usize>,
    ) -> Result<(), Error> {
        let mut slots = self.names.iter().zip(found).enumerate();
        slots.try_for_each(|(slot, (name, found))| {
            check_length(name, if slot < self.slices { params } else { 1 }, found)
        })
    }
}
