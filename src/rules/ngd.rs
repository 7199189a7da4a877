use crate::{
    numbers::math::sqrt,
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::Slot,
        sums::{Measures, Sum, scalar},
    },
    rules::parts::gradient::Gradient,
    simd::{factor::Factor, lane::Lane},
};

rule_options! {
    /// Normalised gradient descent: a step of the same length for every tensor, along its gradient.
    ///
    /// ```text
    /// p = p - lr * g / (norm(g) + eps)
    /// ```
    ///
    /// The norm is that of the tensor's whole gradient.
    ///
    /// **State**: the scalar `grad_norm`, the norm that the last step found; zero at first.
    ///
    /// **Defaults**: [`paper`](Ngd::paper) lr 0.01, eps 1e-8.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. With eps 0 a gradient of zeros makes NaN, 0/0.
    ///
    /// ```
    /// use gradstep::{Ngd, step};
    ///
    /// let (mut params, mut grad_norm) = ([1.0, 1.0], [0.0]);
    /// step(&Ngd::paper().lr(0.5)?.eps(0.0)?, 1, &mut params, &[0.0, 4.0], &mut [&mut grad_norm])?;
    /// assert_eq!((params, grad_norm), ([1.0, 0.5], [4.0]));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Hazan, Levy and Shalev-Shwartz, "Beyond Convexity: Stochastic Quasi-Convex Optimization", 2015.
    ///
    /// **Where frameworks differ**: some take one norm over all tensors; that is clipping by the global norm to a length.
    pub struct Ngd = "ngd" {
        /// Learning rate: the length of every step.
        lr: f64 => NonNegative,
        /// Added to the norm.
        eps: f64 => NonNegative,
    }
}

impl Ngd {
    /// As the paper.
    #[must_use]
    pub const fn paper() -> Self {
        Self { lr: 1e-2, eps: 1e-8, common: Common::NONE }
    }
}

impl Rule for Ngd {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[Slot::scalar("grad_norm")] }
    }

    fn with_measuring_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> Option<V::Output> {
        Some(visitor.visit::<_, 1>(Gradient))
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, scalars: &[f64], visitor: V) -> V::Output {
        visitor.visit(Along { rate: Factor::of(self.lr / (scalar(scalars, 0) + self.eps)) })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for Ngd {
    fn sums(&self) -> &'static [Sum] {
        const { &[Sum::squares(0)] }
    }

    fn settle(&self, _: u64, sums: &[f64], scalars: &mut [f64]) {
        if let ([square], [norm]) = (sums, scalars) {
            *norm = sqrt(*square);
        }
    }
}

#[derive(Clone, Copy)]
struct Along {
    rate: Factor,
}

impl Kernel<0> for Along {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, []: [L; 0]) -> (Change<L>, [L; 0]) {
        (Change::By(self.rate.times(g)), [])
    }
}
