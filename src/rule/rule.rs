//! What an update rule is: hyper-parameters that, once a step, become a kernel.

use crate::{
    error::Error,
    rule::{kernel::KernelVisitor, regularize::Prepare, slots::Slot, sums::Measures},
    sweep::erased::ErasedRule,
};

/// An update rule: hyper-parameters in `f64`, and the kernel that they make for a given step.
///
/// The split keeps the loop bare. Whatever depends on the step alone (a power of beta, a bias correction) is computed
/// in [`with_kernel`](Rule::with_kernel), once, in `f64`; the [`Kernel`](crate::Kernel) holds the results, rounded to `f32`, and
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

    /// Returns which of a rule's conventions its state follows, where its options decide what the numbers there mean;
    /// empty unless a rule says otherwise. A rule of the same kind takes over state of its own convention alone.
    fn convention(&self) -> &'static str {
        ""
    }

    /// The state: first the slots with an element for each parameter, in the order in which the kernel takes them, then at
    /// most 4 with numbers about the whole tensor, which are known when the kernel is made.
    fn slots(&self) -> &'static [Slot];

    /// Returns what slot number `slot` starts from, if its [`Slot::initial`] is [`Initial::Rule`](crate::Initial::Rule).
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

    /// Returns what is done to gradient and parameter before the kernel sees them: nothing unless a rule says otherwise.
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
