//! What an update rule is: hyper-parameters that, once a step, become a kernel.

use crate::{Error, Lane, Prepare, Scope, Sum, run::Run, whole::Measuring};

/// An update rule: hyper-parameters in `f64`, and the kernel that they make for a given step.
///
/// The split keeps the loop bare. Whatever depends on the step alone (a power of beta, a bias correction) is computed
/// in [`with_kernel`](Rule::with_kernel), once, in `f64`; the [`Kernel`] holds the results, rounded to `f32`, and
/// does nothing but lane arithmetic.
///
/// Anyone may write a rule; the example `custom_rule` is one.
pub trait Rule: Copy + Send + Sync {
    /// The rule's name in lower case, as messages and tables show it.
    fn name(&self) -> &'static str;

    /// The names of the state slices, in the order in which the kernel takes them. Each slice is as long as the
    /// parameters, but for the last ones, the [`scalars`](Rule::scalars).
    fn state(&self) -> &'static [&'static str];

    /// How many of the state slices, the last ones, hold a single number for the whole tensor: none unless a rule says
    /// otherwise. At most 4. They are not the kernel's, but are known when it is made.
    fn scalars(&self) -> usize {
        0
    }

    /// How many elements state slice number `slot` has for so many parameters.
    fn state_len(&self, slot: usize, params: usize) -> usize {
        if slot < self.state().len().saturating_sub(self.scalars()) { params } else { 1 }
    }

    /// What state slice number `slot` holds before the first step: 0 unless a rule says otherwise.
    fn initial(&self, slot: usize) -> f32 {
        let _ = slot;
        0.0
    }

    /// Refuses options that contradict each other. Everything that takes a rule asks this first, so that options may be set
    /// in any order.
    ///
    /// # Errors
    /// [`Error::Conflict`]. A rule has no contradictions unless it says so; one that wraps another passes this on.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What is done to gradient and parameter before the kernel sees them: nothing unless a rule says otherwise.
    fn prepare(&self) -> Prepare {
        Prepare::NOTHING
    }

    /// Makes the kernel for step number `step`, which counts from 1, and hands it to `visitor`.
    ///
    /// A visitor, because a rule may have kernels of different types (with and without momentum, say) and chooses
    /// among them by its options. Exactly one call, with as many state slices as [`state`](Rule::state) names.
    fn with_kernel<V: KernelVisitor>(&self, step: u64, visitor: V) -> V::Output;

    /// The sums over whole tensors that the scalars follow from; at most 4. Only rules with scalars have any.
    fn sums(&self) -> &'static [Sum] {
        &[]
    }

    /// Which elements the sums go over.
    fn scope(&self) -> Scope {
        Scope::Tensor
    }

    /// Makes the kernel of the pass before the step, and hands it to `visitor`. It takes the state slices (without the
    /// scalars) and at most two slots more, whose contents it puts out for [`sums`](Rule::sums); the state that it returns
    /// is kept, its change of the parameter is not. Rules without scalars have no such pass.
    fn with_measuring_kernel<V: KernelVisitor>(
        &self,
        step: u64,
        scalars: &[f32],
        visitor: V,
    ) -> Option<V::Output> {
        let _ = (step, scalars, visitor);
        None
    }

    /// Makes the new scalars from the old ones and from the sums.
    fn settle(&self, step: u64, sums: &[f64], scalars: &mut [f32]) {
        let _ = (step, sums, scalars);
    }

    /// As [`with_kernel`](Rule::with_kernel), knowing the new scalars.
    fn with_settled_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f32], visitor: V) -> V::Output {
        let _ = scalars;
        self.with_kernel(step, visitor)
    }

    /// Takes the step. Not for rules to write: those of this crate do, so that their loops are compiled once, with the crate,
    /// instead of with every program that has the rule.
    #[doc(hidden)]
    fn run(&self, step: u64, scalars: &[f32], run: Run<'_>) {
        self.with_settled_kernel(step, scalars, run);
    }

    /// The same for the pass before the step.
    #[doc(hidden)]
    fn measure(&self, step: u64, scalars: &[f32], measuring: Measuring<'_>) {
        self.with_measuring_kernel(step, scalars, measuring);
    }
}

/// The arithmetic of one step for one element, with `N` values of state.
///
/// Must be pure: the same inputs give the same outputs, whatever the lane type and whichever elements are its
/// neighbours. Write `#[inline(always)]` before `update`, or the lanes lose their instruction set.
pub trait Kernel<const N: usize>: Copy + Send + Sync {
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
    /// What is taken off `p`.
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

    /// Called by [`Rule::with_kernel`].
    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) -> Self::Output;
}
