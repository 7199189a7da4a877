//! The measuring kernel of rules that need the norm of the gradient.

use crate::{
    rule::kernel::{Change, Kernel},
    simd::lane::Lane,
};

/// A measuring kernel that puts the gradient out, behind the state.
#[derive(Clone, Copy)]
pub(crate) struct Gradient;

impl<const N: usize> Kernel<N> for Gradient {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, mut state: [L; N]) -> (Change<L>, [L; N]) {
        if let Some(last) = state.last_mut() {
            *last = g;
        }
        (Change::To(p), state)
    }
}
