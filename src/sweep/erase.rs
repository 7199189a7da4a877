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
#[cfg(not(feature = "std"))]
use crate::{
    rule::regularize::Shrink,
    sweep::kernels::{Bare, Decaying},
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

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn check(&self) -> Result<(), Error> {
        Rule::check(self)
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn prepare(&self) -> Prepare {
        Rule::prepare(self)
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Rule::measures(self)
    }
}

impl<R: Rule> ErasedRule for R {
    #[cfg(feature = "std")]
    fn sweep(&self, step: u64, scalars: &[f64], with: SweepWith<'_>) {
        self.with_kernel(step, scalars, with);
    }

    /// In firmware the rule's options are mostly known when it is compiled. Then the choice of the form is made here, and the
    /// other forms are not in the image.
    #[cfg(not(feature = "std"))]
    #[inline(always)]
    fn sweep(&self, step: u64, scalars: &[f64], with: SweepWith<'_>) {
        match with.prepare.shrink {
            Shrink::Nothing => self.with_kernel(step, scalars, Bare(with)),
            Shrink::Decay(_) => self.with_kernel(step, scalars, Decaying(with)),
            Shrink::L2(_) | Shrink::Mixed(_) => self.with_kernel(step, scalars, with),
        }
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
