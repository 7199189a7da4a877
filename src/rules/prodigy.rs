use crate::{
    numbers::math::sqrt,
    rule::{
        common::{Common, Decay},
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Initial, Role, Slot},
        sums::{Measures, Scope, Sum, Term, scalar},
    },
    rules::parts::moments::step_size,
    simd::{factor::Factor, lane::Lane},
};

rule_options! {
    /// Prodigy: Adam that finds its learning rate from how far the parameters have come.
    ///
    /// ```text
    /// rate = lr * d * sqrt(1-beta2^t)/(1-beta1^t)
    /// numerator n = beta3*n + d/d0 * rate * sum(g*(x0 - p))
    /// exp_avg    m = beta1*m + (1-beta1)*d*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*(d*g)^2
    /// grad_sum   s = beta3*s + rate/d0 * d*g, with safeguard_warmup d/d0 * d*g
    /// d = max(d, growth*n/sum(abs(s)))
    /// p = p - rate*(m/(sqrt(v) + d*eps) + weight_decay*p)
    /// ```
    ///
    /// `weight_decay*p` is a part of the step with the decay "update" alone, which is that of the preset.
    ///
    /// `rate` is made of the old `d`. The sums go over all tensors that are stepped together with this rule.
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, `grad_sum`, zero at first; `x0`, a copy of the parameters at first; the scalars `d`, which is `d0` at first, `numerator` and `rate`, zero at first and the same in each tensor.
    ///
    /// **Defaults**: [`optax`](Prodigy::optax) lr 1, betas 0.9, 0.999 and sqrt(beta2), eps 1e-8, d0 1e-6, growth 1, no
    /// safeguard, the decay "update".
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses a d0 so small that it vanishes in `f32`,
    /// squared or times eps.
    ///
    /// ```
    /// use gradstep::{AnyRule, Optimizer, Param, Prodigy, Workers};
    ///
    /// let mut optimizer = Optimizer::new(AnyRule::Prodigy(Prodigy::optax()))?;
    /// let (id, mut p) = (optimizer.register("p", 1)?, [1.0]);
    /// for _ in 0..300 {
    ///     let grads = [2.0 * p[0]]; // of the square
    ///     optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut p, &grads)])?;
    /// }
    /// assert!(p[0].abs() < 0.1); // without a learning rate
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Mishchenko and Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", 2024.
    ///
    /// **Where frameworks differ**: the authors' code has decoupled and bias-correction switches of its own, and takes one `d` for
    /// each group; so does an [`Optimizer`](crate::Optimizer) here.
    pub struct Prodigy = "prodigy" {
        /// What the found rate is multiplied with: 1, or a schedule.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// What is left of `grad_sum` and `numerator` after a step; 0 for sqrt(beta2).
        beta3: f64 => BelowOne,
        /// Added outside the root, times `d`.
        eps: f64 => NonNegative,
        /// What `d` starts from.
        d0: f64 => Positive,
        /// What each estimate of `d` is multiplied with: d_coef, or estim_lr_coef.
        growth: f64 => NonNegative,
        /// Leave warm-up out of the denominator of `d`.
        safeguard_warmup: bool,
    }
    within update: Decay
    refused by Prodigy::contradiction
}

impl Prodigy {
    /// As `optax.contrib.prodigy`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            beta3: 0.0,
            eps: 1e-8,
            d0: 1e-6,
            growth: 1.0,
            safeguard_warmup: false,
            common: Common::decay(Decay::Update, 0.0),
        }
    }

    fn contradiction(&self) -> Option<&'static str> {
        let vanishes = |x: f64| (x as f32) < f32::MIN_POSITIVE;
        let lost = vanishes(self.d0 * self.d0) || self.eps > 0.0 && vanishes(self.d0 * self.eps);
        lost.then_some("d0 squared or d0 times eps vanishes in f32")
    }

    /// Returns what the estimate of `d` keeps.
    fn memory(&self) -> f64 {
        if self.beta3 > 0.0 { self.beta3 } else { sqrt(self.beta2) }
    }

    fn rate(&self, step: u64, d: f64) -> f64 {
        step_size(self.lr * d, self.beta1, self.beta2, step)
    }
}

impl Rule for Prodigy {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                EXP_AVG,
                EXP_AVG_SQ,
                Slot::full("grad_sum", Role::Sum),
                Slot::full("x0", Role::Fixed).starting_as(Initial::Param),
                Slot::scalar("d").starting_as(Initial::Rule),
                Slot::scalar("numerator"),
                Slot::scalar("rate"),
            ]
        }
    }

    fn initial(&self, slot: usize) -> f32 {
        if slot == 4 { self.d0 as f32 } else { 0.0 }
    }

    fn with_measuring_kernel<V: KernelVisitor>(
        &self,
        step: u64,
        scalars: &[f64],
        visitor: V,
    ) -> Option<V::Output> {
        let d = scalar(scalars, 0);
        let weight = if self.safeguard_warmup { d } else { self.rate(step, d) };
        Some(visitor.visit(Measured {
            d: d as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            rest3: (1.0 - self.memory()) as f32,
            weight: (weight * d / self.d0) as f32,
        }))
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, scalars: &[f64], visitor: V) -> V::Output {
        visitor.visit(Stepped {
            rate: Factor::of(scalar(scalars, 2)),
            eps: (scalar(scalars, 0) * self.eps) as f32,
            decay: (scalar(scalars, 2) * self.common.update_decay()) as f32,
        })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for Prodigy {
    fn sums(&self) -> &'static [Sum] {
        &[Sum { slot: 4, term: Term::Value }, Sum { slot: 2, term: Term::Magnitude }]
    }

    fn scope(&self) -> Scope {
        Scope::Together
    }

    fn settle(&self, step: u64, sums: &[f64], scalars: &mut [f64]) {
        let ([progress, size], [d, numerator, rate]) = (sums, scalars) else { return };
        let old = *d;
        let taken = self.rate(step, old);
        let moved = self.memory() * *numerator + old / self.d0 * taken * progress;
        if *size > 0.0 {
            *d = old.max(self.growth * moved / size);
        }
        (*numerator, *rate) = (moved, taken);
    }
}

/// Moves the averages, and puts out how far each element has come against its gradient.
#[derive(Clone, Copy)]
struct Measured {
    d: f32,
    rest1: f32,
    rest2: f32,
    rest3: f32,
    weight: f32,
}

impl Kernel<5> for Measured {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [m, v, s, x0, _]: [L; 5]) -> (Change<L>, [L; 5]) {
        let g = g.squarable();
        let scaled = (g * self.d).squarable();
        let (m, v) = (m.lerp(scaled, self.rest1), v.lerp(scaled * scaled, self.rest2));
        let s = (s - s * self.rest3) + g * self.weight;
        (Change::To(p), [m, v, s, x0, g * (x0 - p)])
    }
}

#[derive(Clone, Copy)]
struct Stepped {
    rate: Factor,
    eps: f32,
    decay: f32,
}

impl Kernel<4> for Stepped {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, _: L, [m, v, s, x0]: [L; 4]) -> (Change<L>, [L; 4]) {
        (Change::By(self.rate.times(m) / (v.sqrt() + self.eps) + p * self.decay), [m, v, s, x0])
    }
}
