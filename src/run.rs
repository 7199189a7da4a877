//! The one loop over tensors: which rule steps which, and the sweep over each.

use crate::{
    Backend, Error, Kernel, KernelVisitor, Prepare, Rule, Shrink, Tensor,
    backend::Vectorized,
    lane::Isa,
    prepare::{Decayed, Regularized, Scaled},
    sweep::sweep,
    tensor::{MAX_STATE, Tag},
    whole::MAX_SCALARS,
};

/// What a tag stands for: a rule, and the number of the step that it takes.
pub(crate) trait Program: Sync {
    type Rule: Rule;
    /// Whether there is anything to be measured before the step.
    fn measures(&self) -> bool;
    fn rule(&self, tag: Tag) -> (&Self::Rule, u64);
}

/// One rule at one step for all tensors.
pub(crate) struct OneRule<'a, R> {
    pub(crate) rule: &'a R,
    pub(crate) step: u64,
}

impl<R: Rule> Program for OneRule<'_, R> {
    type Rule = R;

    fn measures(&self) -> bool {
        self.rule.scalars() > 0
    }

    fn rule(&self, _: Tag) -> (&R, u64) {
        (self.rule, self.step)
    }
}

/// Steps all tensors on the calling thread. Neighbours with the same tag share one kernel and one dispatch.
pub(crate) fn run(backend: Backend, program: &impl Program, mut tensors: &mut [Tensor<'_>]) {
    while let Some(tag) = tensors.first().map(Tensor::tag) {
        let same = tensors.iter().take_while(|tensor| tensor.tag() == tag).count();
        let (now, later) = tensors.split_at_mut(same);
        let (rule, step) = program.rule(tag);
        let prepare = rule.prepare();
        if rule.scalars() == 0 {
            rule.run(step, &[], Run { backend, prepare, tensors: now });
        } else {
            for tensor in now {
                let settled = tensor.settled();
                let tensors = core::slice::from_mut(tensor);
                rule.run(step, &settled, Run { backend, prepare, tensors });
            }
        }
        tensors = later;
    }
}

/// The visitor that runs a kernel over tensors.
#[derive(Debug)]
pub struct Run<'a, 'b> {
    backend: Backend,
    prepare: Prepare,
    tensors: &'a mut [Tensor<'b>],
}

impl KernelVisitor for Run<'_, '_> {
    type Output = ();

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let Self { backend, prepare: Prepare { scale, shrink }, tensors } = self;
        match shrink {
            Shrink::Nothing => backend.run(Sweeps { kernel: Scaled { kernel, scale }, tensors }),
            Shrink::Decay(decay) => backend.run(Sweeps { kernel: Decayed { kernel, scale, decay }, tensors }),
            Shrink::L2(_) | Shrink::Mixed(_) => {
                let mixed = shrink.mixed();
                backend.run(Sweeps { kernel: Regularized { kernel, scale, mixed }, tensors })
            }
        }
    }
}

struct Sweeps<'a, 'b, K, const N: usize> {
    kernel: K,
    tensors: &'a mut [Tensor<'b>],
}

impl<K: Kernel<N>, const N: usize> Vectorized for Sweeps<'_, '_, K, N> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for tensor in self.tensors {
            if let Some(slices) = tensor.slices() {
                sweep(isa, self.kernel, slices);
            }
        }
    }
}

/// Refuses a step that no rule can take.
pub(crate) fn check_rule<R: Rule>(rule: &R, step: u64) -> Result<(), Error> {
    if step == 0 {
        return Err(Error::StepZero);
    }
    let (named, taken) = (rule.state().len(), rule.with_kernel(step, CountState));
    if named != taken + rule.scalars() {
        return Err(Error::KernelState { rule: rule.name(), named, taken });
    }
    if named > MAX_STATE || rule.scalars() > MAX_SCALARS {
        Err(Error::TooManySlices { found: named, most: MAX_STATE })
    } else {
        Ok(())
    }
}

struct CountState;

impl KernelVisitor for CountState {
    type Output = usize;

    fn visit<K: Kernel<N>, const N: usize>(self, _: K) -> usize {
        N
    }
}
