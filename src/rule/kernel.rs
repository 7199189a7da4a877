//! The arithmetic of a rule.

use crate::simd::lane::Lane;

/// The arithmetic of one step for one element, with `N` values of state.
///
/// Must be pure: the same inputs give the same outputs, whatever the lane type and whichever elements are its
/// neighbours. Write `#[inline(always)]` before `update`, or the lanes lose their instruction set.
pub trait Kernel<const N: usize>: Copy + Send + Sync {
    /// True if L2 regularisation gets a loop of its own for this kernel. Otherwise it is added to the gradient in a buffer,
    /// before the kernel's loop: out of cache that costs nothing, and in the cache up to a third of a step of a kernel that has
    /// neither root nor division. Each such loop makes the crate larger, and slower to compile.
    const L2_IN_LOOP: bool = false;

    /// From a parameter, its gradient and its state to the parameter's change and the new state.
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]);
}

/// What a kernel does to a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Change<L> {
    /// Takes this off: `p = p - change`. Weight decay is added to it first, so that the parameter is rounded once.
    By(L),
    /// Puts this in its place.
    To(L),
}

impl<L: Lane> Change<L> {
    /// Returns what is taken off `p`.
    #[inline(always)]
    pub fn amount(self, p: L) -> L {
        match self {
            Self::By(change) => change,
            Self::To(new) => p - new,
        }
    }

    /// The new parameter.
    #[inline(always)]
    pub fn apply(self, p: L) -> L {
        match self {
            Self::By(change) => p - change,
            Self::To(new) => new,
        }
    }
}

/// Something to be done with a kernel whose type only the rule knows.
pub trait KernelVisitor {
    /// What comes back.
    type Output;

    /// Called by [`Rule::with_kernel`](crate::Rule::with_kernel).
    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) -> Self::Output;
}
