//! Plain `f32` slices of one tensor or of a part of one, in the order in which a kernel takes them.

use core::{array, ops::Range};

use crate::{
    error::Error,
    formats::tiles::{Buffer, within, within_if_any, within_mut},
};

/// The most state slices that a tensor has.
pub(crate) const MAX_STATE: usize = 8;

/// Returns what fills an array of slices until it is known which.
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
    /// The same with as many state slices as there can be, those beyond `N` empty.
    pub(crate) fn widened(self) -> Slices<'a, MAX_STATE> {
        let mut state = no_slices();
        for (wide, slice) in state.iter_mut().zip(self.state) {
            *wide = slice;
        }
        Slices { params: self.params, grads: self.grads, state, changes: self.changes }
    }

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

impl<'a> Slices<'a, MAX_STATE> {
    /// Puts the slices together; those of the state that are not given are empty.
    pub(crate) fn of(
        params: &'a mut [f32],
        grads: &'a [f32],
        state: &'a mut [&mut [f32]],
    ) -> Result<Self, Error> {
        let found = state.len();
        if found > MAX_STATE {
            return Err(Error::TooManySlices { found, most: MAX_STATE });
        }
        let mut slices = Self { params, grads, state: no_slices(), changes: &mut [] };
        for (place, slice) in slices.state.iter_mut().zip(state) {
            *place = slice;
        }
        Ok(slices)
    }

    /// The number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.params.len()
    }

    /// The first `N` state slices alone; `None` where there are fewer.
    #[inline(always)]
    pub(crate) fn first<const N: usize>(&mut self) -> Option<Slices<'_, N>> {
        let Slices { params, grads, state, changes } = self;
        let mut first: [&mut [f32]; N] = no_slices();
        for (first, slice) in first.iter_mut().zip(state.first_chunk_mut::<N>()?) {
            *first = slice;
        }
        Some(Slices { params, grads, state: first, changes })
    }

    /// The same for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Slices<'_, MAX_STATE> {
        let Slices { params, grads, state, changes } = self;
        Slices { params, grads, state: state.each_mut().map(|slice| &mut **slice), changes }
    }

    /// Some of the elements.
    pub(crate) fn part(&mut self, range: &Range<usize>) -> Slices<'_, MAX_STATE> {
        Slices {
            params: within_mut(self.params, range),
            grads: within(self.grads, range),
            state: self.state.each_mut().map(|slice| within_if_any(slice, range)),
            changes: within_if_any(self.changes, range),
        }
    }

    /// The first `N` slots: the state slices that are as long as the parameters, then `outputs`.
    #[inline(always)]
    pub(crate) fn with_outputs<'b, const N: usize>(
        &'b mut self,
        full: usize,
        outputs: &'b mut [Buffer],
    ) -> Slices<'b, N> {
        let range = 0..self.len();
        let Slices { params, grads, state, .. } = self;
        let full = state.iter_mut().take(full).map(|slice| &mut **slice);
        let mut slots = full.chain(outputs.iter_mut().map(|output| within_mut(output, &range)));
        let state = array::from_fn(|_| slots.next().unwrap_or_default());
        Slices { params, grads, state, changes: &mut [] }
    }
}
