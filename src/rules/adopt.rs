use crate::{
    numbers::math::sqrt,
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Slot},
    },
    simd::lane::Lane,
};

rule_options! {
    /// ADOPT: Adam that divides the gradient by the root of the squares before it, and averages then.
    ///
    /// ```text
    /// first step: exp_avg_sq v = g^2, and nothing else
    /// n = g / max(sqrt(v), eps), with clip within -(t-1)^(1/4) and (t-1)^(1/4)
    /// exp_avg    m = beta1*m + (1-beta1)*n
    /// p = p - lr*m
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    ///
    /// nesterov: p = p - lr*(beta1*m + (1-beta1)*n)
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, zero at first.
    ///
    /// **Defaults**: lr 0.001 (optax has none), betas 0.9 and 0.9999, eps 1e-6, clip: [`paper`](Adopt::paper), the authors'
    /// second version, with coupled decay, and [`optax`](Adopt::optax), which has no decay of its own, with decoupled decay.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Adopt, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
    /// let rule = Adopt::paper().lr(0.5)?.beta1(0.5)?;
    /// step(&rule, 1, &mut params, &[4.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert_eq!((params, exp_avg_sq), ([1.0], [16.0]));
    /// step(&rule, 2, &mut params, &[2.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert_eq!((params, exp_avg), ([0.875], [0.25])); // half of 2/4
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Taniguchi et al., "ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate", 2024.
    ///
    /// **Where frameworks differ**: nowhere that is known; the paper's first version did not clip. optax'
    /// `clip_value_fn`, a bound of the caller's own, is not here.
    pub struct Adopt = "adopt" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// The least that is divided by.
        eps: f64 => NonNegative,
        /// Bound the divided gradient.
        clip: bool,
        /// Nesterov's look-ahead.
        nesterov: bool,
    }
}

impl Adopt {
    /// As the authors' code.
    #[must_use]
    pub const fn paper() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.9999,
            eps: 1e-6,
            clip: true,
            nesterov: false,
            common: Common::NONE,
        }
    }

    /// As `optax.contrib.adopt`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { common: Common::decoupled(0.0), ..Self::paper() }
    }
}

impl Rule for Adopt {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[EXP_AVG, EXP_AVG_SQ]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        if step == 1 {
            return visitor.visit(First);
        }
        let bound = sqrt(sqrt(step.saturating_sub(1) as f64)) as f32;
        visitor.visit(Divided {
            lr: self.lr as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            eps: self.eps as f32,
            bound: if self.clip { bound } else { f32::INFINITY },
            nesterov: self.nesterov,
        })
    }
}

/// There are no squares before the first gradient.
#[derive(Clone, Copy)]
struct First;

impl Kernel<2> for First {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, _]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        (Change::By(g.splat(0.0)), [m, g * g])
    }
}

#[derive(Clone, Copy)]
struct Divided {
    lr: f32,
    rest1: f32,
    rest2: f32,
    eps: f32,
    bound: f32,
    nesterov: bool,
}

impl Kernel<2> for Divided {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let n = g / v.sqrt().max(v.splat(self.eps));
        let n = n.max(n.splat(-self.bound)).min(n.splat(self.bound));
        let m = m.lerp(n, self.rest1);
        let direction = if self.nesterov { m.lerp(n, self.rest1) } else { m };
        (Change::By(direction * self.lr), [m, v.lerp(g * g, self.rest2)])
    }
}
