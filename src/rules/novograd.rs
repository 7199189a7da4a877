use crate::{
    numbers::math::sqrt,
    rule::{
        common::{Common, Decay},
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, Slot},
        sums::{Measures, Sum, scalar},
    },
    rules::parts::gradient::Gradient,
    simd::{factor::Factor, lane::Lane},
};

rule_options! {
    /// NovoGrad: momentum over gradients that are divided by a moving norm of their tensor.
    ///
    /// ```text
    /// exp_avg_sq v = beta2*v + (1-beta2)*norm(g)^2, and norm(g)^2 at the first step
    /// exp_avg    m = beta1*m + g/(sqrt(v + eps_root) + eps) + weight_decay*p
    /// p = p - lr*m
    /// ```
    ///
    /// The norm is that of the tensor's whole gradient. `weight_decay*p` is a part of the average with the decay "update"
    /// alone, which is that of the preset.
    ///
    /// **State**: `exp_avg`, and the scalar `exp_avg_sq`: one number for the tensor, half of Adam's state; zero at first.
    ///
    /// **Defaults**: [`optax`](NovoGrad::optax) lr 0.001 (optax has no default), beta1 0.9, beta2 0.25, eps 1e-6,
    /// the decay "update".
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. With eps and eps_root 0 a gradient of zeros makes NaN.
    ///
    /// ```
    /// use gradstep::{NovoGrad, step};
    ///
    /// let rule = NovoGrad::optax().lr(0.5)?.eps(0.0)?;
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0, 1.0], [0.0; 2], [0.0]);
    /// step(&rule, 1, &mut params, &[0.0, 4.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert_eq!((params, exp_avg_sq), ([1.0, 0.5], [16.0]));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Ginsburg et al., "Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep
    /// Networks", 2019.
    ///
    /// **Where frameworks differ**: only optax has it; others scale the new gradient by 1-beta1.
    pub struct NovoGrad = "novograd" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root.
        eps: f64 => NonNegative,
        /// Added inside the root.
        eps_root: f64 => NonNegative,
    }
    within update: Decay
}

impl NovoGrad {
    /// As `optax.novograd`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.25,
            eps: 1e-6,
            eps_root: 0.0,
            common: Common::decay(Decay::Update, 0.0),
        }
    }
}

impl Rule for NovoGrad {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[EXP_AVG, Slot::scalar("exp_avg_sq")] }
    }

    fn with_measuring_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> Option<V::Output> {
        Some(visitor.visit::<_, 2>(Gradient))
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, scalars: &[f64], visitor: V) -> V::Output {
        let mean = scalar(scalars, 0);
        visitor.visit(Divided {
            lr: self.lr as f32,
            rest: (1.0 - self.beta1) as f32,
            inverse: Factor::of(1.0 / (sqrt(mean + self.eps_root) + self.eps)),
            decay: self.common.update_decay() as f32,
        })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for NovoGrad {
    fn sums(&self) -> &'static [Sum] {
        const { &[Sum::squares(1)] }
    }

    fn settle(&self, step: u64, sums: &[f64], scalars: &mut [f64]) {
        if let ([square], [mean]) = (sums, scalars) {
            let moved = *mean - (1.0 - self.beta2) * (*mean - square);
            *mean = if step == 1 { *square } else { moved };
        }
    }
}

#[derive(Clone, Copy)]
struct Divided {
    lr: f32,
    rest: f32,
    inverse: Factor,
    decay: f32,
}

impl Kernel<1> for Divided {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [m]: [L; 1]) -> (Change<L>, [L; 1]) {
        let m = (m - m * self.rest) + (self.inverse.times(g) + p * self.decay);
        (Change::By(m * self.lr), [m])
    }
}
