//! What an update rule is: hyper-parameters that, once a step, become a kernel.

use core::fmt;

use crate::{
    error::Error,
    rule::{regularize::Prepare, slots::Slot, sums::Measures},
    simd::lane::Lane,
    sweep::erased::ErasedRule,
};

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

    /// The name of the rule whose arithmetic and state this is: `"adam"` for AdamW, which is Adam with another decay.
    fn kind(&self) -> &'static str {
        self.name()
    }

    /// Which of a rule's conventions its state follows, where its options decide what the numbers there mean; empty unless a
    /// rule says otherwise. A rule of the same kind takes over state of its own convention alone.
    fn convention(&self) -> &'static str {
        ""
    }

    /// The state: first the slots with an element for each parameter, in the order in which the kernel takes them, then at
    /// most 4 with numbers about the whole tensor, which are known when the kernel is made.
    fn slots(&self) -> &'static [Slot];

    /// What slot number `slot` starts from, if its [`Slot::initial`] is [`Initial::Rule`](crate::Initial::Rule).
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
    /// `scalars` are the numbers about the whole tensor as [`Measures::settle`] has left them, in `f64`; a rule that works element
    /// by element has none.
    ///
    /// A visitor, because a rule may have kernels of different types (with and without momentum, say) and chooses
    /// among them by its options. Exactly one call, with as many values of state as there are full [slots](Rule::slots).
    fn with_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> V::Output;

    /// The part of the rule that looks at whole tensors before a step, if it has one.
    fn measures(&self) -> Option<&dyn Measures> {
        None
    }

    /// Makes the kernel that goes over the tensor before the step, and hands it to `visitor`; for a rule that
    /// [measures](Self::measures) with sums. The kernel takes the full slots and at most two more, whose contents it puts out for
    /// the sums. The state that it returns is kept, its change of the parameter is not. `scalars` are the old ones.
    fn with_measuring_kernel<V: KernelVisitor>(
        &self,
        step: u64,
        scalars: &[f64],
        visitor: V,
    ) -> Option<V::Output> {
        let _ = (step, scalars, visitor);
        None
    }

    /// The rule as the driver takes it. Not for rules to write: those of this crate do, so that their loops are compiled once,
    /// with the crate, instead of with every program that has the rule.
    #[doc(hidden)]
    fn erased(&self) -> &dyn ErasedRule {
        self
    }
}

/// What made a piece of state: a rule, and the convention by which its numbers have to be read.
///
/// Written out it is what a checkpoint should keep beside the state: `momentum/lr-inside`, or `adam` for a rule that has a
/// single convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateKind {
    /// The [kind](Rule::kind) of the rule.
    pub rule: &'static str,
    /// Its [convention](Rule::convention).
    pub convention: &'static str,
    /// Its [slots](Rule::slots).
    pub slots: &'static [Slot],
}

impl StateKind {
    /// That of a rule.
    pub fn of<R: Rule>(rule: &R) -> Self {
        Self { rule: rule.kind(), convention: rule.convention(), slots: rule.slots() }
    }
}

impl StateKind {
    /// Whether this is how it is written out.
    #[cfg(feature = "alloc")]
    pub(crate) fn is_written(&self, text: &str) -> bool {
        let (rule, convention) = text.split_once('/').unwrap_or((text, ""));
        (rule, convention) == (self.rule, self.convention)
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.convention.is_empty() { "" } else { "/" };
        write!(f, "{}{separator}{}", self.rule, self.convention)
    }
}

/// The arithmetic of one step for one element, with `N` values of state.
///
/// Must be pure: the same inputs give the same outputs, whatever the lane type and whichever elements are its
/// neighbours. Write `#[inline(always)]` before `update`, or the lanes lose their instruction set.
pub trait Kernel<const N: usize>: Copy + Send + Sync {
    /// Whether L2 regularisation gets a loop of its own for this kernel. Otherwise it is added to the gradient in a buffer,
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
