//! Which rule steps which tensors, and the driver that steps them on the calling thread.

use core::cmp::Ordering;

#[cfg(feature = "std")]
use crate::tensor::view::View;
use crate::{
    rule::{limits::MAX_SCALARS, slots::has_only_full},
    simd::backend::Backend,
    sweep::erased::{Batch, ErasedRule, Sweep, SweepWith},
    tensor::{tag::Tag, tensor::Tensor},
};

/// Which rule steps the tensors with a tag.
pub(crate) trait Program: Sync {
    /// Returns whether there is anything to be measured before the step.
    fn measures(&self) -> bool;
    fn rule(&self, tag: Tag) -> &dyn ErasedRule;
    /// Returns what the tensors of this group share, as far as it is known beside the tensors themselves.
    fn shared(&self, _: Tag) -> SharedNumbers {
        SharedNumbers::default()
    }
}

/// Numbers that tensors share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SharedNumbers {
    /// How many steps the tensor has taken that has taken most; 0 where nothing is known.
    pub(crate) steps: u64,
    pub(crate) scalars: [f64; MAX_SCALARS],
}

impl SharedNumbers {
    /// The one after more steps, or else the larger one. A NaN is above all numbers: its sign depends on the machine.
    pub(crate) fn newer(self, other: Self) -> Self {
        let key = |x: f64| if x.is_nan() { f64::NAN } else { x };
        let pairs = self.scalars.iter().zip(&other.scalars);
        let in_turn = pairs.map(|(mine, others)| key(*mine).total_cmp(&key(*others)));
        match in_turn.fold(self.steps.cmp(&other.steps), Ordering::then) {
            Ordering::Less => other,
            Ordering::Equal | Ordering::Greater => self,
        }
    }
}

/// One rule for all tensors.
pub(crate) struct OneRule<'a>(pub(crate) &'a dyn ErasedRule);

impl Program for OneRule<'_> {
    fn measures(&self) -> bool {
        !has_only_full(self.0.slots())
    }

    fn rule(&self, _: Tag) -> &dyn ErasedRule {
        self.0
    }
}

/// Calls `work` with each run of neighbours whose tags are `alike`, and with the first one's tag.
pub(crate) fn for_each_group<'t>(
    mut tensors: &mut [Tensor<'t>],
    alike: impl Fn(Tag, Tag) -> bool,
    mut work: impl FnMut(Tag, &mut [Tensor<'t>]),
) {
    while let Some(tag) = tensors.first().map(Tensor::tag) {
        let same = tensors.iter().take_while(|tensor| alike(tensor.tag(), tag)).count();
        // There are as many; the compiler does not see it, and would keep a panic.
        let Some((now, later)) = tensors.split_at_mut_checked(same) else { return };
        work(tag, now);
        tensors = later;
    }
}

/// Steps whole tensors that have nothing to be converted. A group shares one kernel and one dispatch, unless its rule has
/// scalars: they make a kernel for each tensor.
pub(crate) fn step_tensors(backend: Backend, program: &dyn Program, tensors: &mut [Tensor<'_>]) {
    for_each_group(tensors, Tag::goes_with, |tag, group| {
        let rule = program.rule(tag);
        let prepare = rule.prepare();
        if has_only_full(rule.slots()) {
            let feed = &mut |sweep: Sweep<'_>| sweep(Batch::Tensors(group));
            rule.sweep(tag.step, &[], SweepWith { backend, prepare, feed });
        } else {
            for tensor in group {
                let settled = tensor.settled;
                let tensors = core::slice::from_mut(tensor);
                let feed = &mut |sweep: Sweep<'_>| sweep(Batch::Tensors(tensors));
                rule.sweep(tag.step, &settled, SweepWith { backend, prepare, feed });
            }
        }
    });
}

/// The same for a part of a tensor.
#[cfg(feature = "std")]
pub(crate) fn step_view(backend: Backend, program: &dyn Program, view: &mut View<'_>) {
    let (tag, settled) = (view.plan.tag, view.settled);
    let rule = program.rule(tag);
    if let Some(mut slices) = view.slices() {
        let feed = &mut |sweep: Sweep<'_>| sweep(Batch::Tile(slices.reborrow()));
        rule.sweep(tag.step, &settled, SweepWith { backend, prepare: rule.prepare(), feed });
    }
}
