//! Forgets the type of a rule.

use crate::{
    error::Error,
    rule::{
        described::DescribedRule,
        kernel::{Kernel, KernelVisitor},
        limits::MAX_SCALARS,
        regularize::Prepare,
        rule::Rule,
        slots::Slot,
        sums::Measures,
    },
    sweep::erased::{ErasedRule, MeasureWith, SweepWith},
};

impl<R: Rule> DescribedRule for R {
    fn name(&self) -> &'static str {
        Rule::name(self)
    }

    fn kind(&self) -> &'static str {
        Rule::kind(self)
    }

    fn convention(&self) -> &'static str {
        Rule::convention(self)
    }

    fn slots(&self) -> &'static [Slot] {
        Rule::slots(self)
    }

    fn initial(&self, slot: usize) -> f32 {
        Rule::initial(self, slot)
    }

    fn check(&self) -> Result<(), Error> {
        Rule::check(self)
    }

    fn prepare(&self) -> Prepare {
        Rule::prepare(self)
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Rule::measures(self)
    }
}

impl<R: Rule> ErasedRule for R {
    fn sweep(&self, step: u64, scalars: &[f64], with: SweepWith<'_>) {
        self.with_kernel(step, scalars, with);
    }

    fn measure(&self, step: u64, scalars: &[f64], with: MeasureWith<'_>) {
        self.with_measuring_kernel(step, scalars, with);
    }

    fn kernel_slots(&self, step: u64) -> (usize, Option<usize>) {
        let scalars = &[1.0; MAX_SCALARS];
        (self.with_kernel(step, scalars, CountSlots), self.with_measuring_kernel(step, scalars, CountSlots))
    }
}

struct CountSlots;

impl KernelVisitor for CountSlots {
    type Output = usize;

    fn visit<K: Kernel<N>, const N: usize>(self, _: K) -> usize {
        N
    }
}
