//! Slices as chunks of the width of a register.
//!
//! Nothing here is generic over the kernel, so that it is compiled once for each set of instructions and each number of slots.

use crate::{
    formats::slices::{Slices, no_slices},
    simd::isa::Isa,
};

/// The whole chunks of slices, equally many of each.
pub(super) struct Chunks<'a, C, const N: usize> {
    pub(super) params: &'a mut [C],
    pub(super) grads: &'a [C],
    pub(super) state: [&'a mut [C]; N],
    pub(super) changes: &'a mut [C],
}

/// Cuts slices into whole chunks and the rest, which is shorter than one.
#[cfg_attr(feature = "std", inline(never))]
pub(super) fn cut<I: Isa, const N: usize>(slices: Slices<'_, N>) -> (Chunks<'_, I::Chunk, N>, Slices<'_, N>) {
    let (params, params_rest) = I::chunks_mut(slices.params);
    let (grads, grads_rest) = I::chunks(slices.grads);
    let (changes, changes_rest) = I::chunks_mut(slices.changes);
    let mut state_rest = slices.state;
    let mut state: [&mut [I::Chunk]; N] = no_slices();
    for (chunks, rest) in state.iter_mut().zip(&mut state_rest) {
        (*chunks, *rest) = I::chunks_mut(core::mem::take(rest));
    }
    let rest = Slices { params: params_rest, grads: grads_rest, state: state_rest, changes: changes_rest };
    (Chunks { params, grads, state, changes }, rest)
}
