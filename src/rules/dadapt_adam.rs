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
    simd::lane::Lane,
};

rule_options! {
    /// D-Adaptation of Adam: Adam that estimates the distance to the solution, and with it its learning rate.
    ///
    /// ```text
    /// rate = lr * d * sqrt(1-beta2^t)/(1-beta1^t);  b = sqrt(beta2)
    /// numerator n = b*n + (1-b)*rate*sum(g*s/(sqrt(v) + eps)), with the old s and v
    /// exp_avg    m = beta1*m + (1-beta1)*rate*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// grad_sum   s = b*s + (1-b)*rate*g
    /// d = max(d, n/((1-b)*sum(abs(s))))
    /// p = p - m/(sqrt(v) + eps) - rate*weight_decay*p
    /// ```
    ///
    /// `rate*weight_decay*p` is a part of the step with the decay "update" alone, which is that of the preset.
    ///
    /// `rate` is made of the old `d`. The sums go over all tensors that are stepped together
    /// with this rule.
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, `grad_sum`, zero at first; the scalars `d`, which is `d0` at first, `numerator` and
    /// `rate`, zero at first and the same in each tensor.
    ///
    /// **Defaults**: [`optax`](DAdaptAdam::optax) lr 1, betas 0.9 and 0.999, eps 1e-8, d0 1e-6, the decay
    /// "update".
    ///
    /// **Errors**: a setter refuses what is outside an option's domain; an eps of 0 is, as the first step would make NaN, 0/0.
    ///
    /// ```
    /// use gradstep::{AnyRule, DAdaptAdam, Optimizer, Param, Workers};
    ///
    /// let mut optimizer = Optimizer::new(AnyRule::DAdaptAdam(DAdaptAdam::optax()))?;
    /// let (id, mut p) = (optimizer.register("p", 1)?, [1.0]);
    /// for _ in 0..300 {
    ///     let grads = [2.0 * p[0]]; // of the square
    ///     optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut p, &grads)])?;
    /// }
    /// assert!(p[0].abs() < 0.5); // without a learning rate
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023.
    ///
    /// **Where frameworks differ**: the authors' code can also bound how fast `d` grows.
    pub struct DAdaptAdam = "dadapt_adam" {
        /// What the found rate is multiplied with: 1, or a schedule.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root.
        eps: f64 => Positive,
        /// What `d` starts from.
        d0: f64 => Positive,
    }
    within update: Decay
}

impl DAdaptAdam {
    /// As `optax.contrib.dadapt_adamw`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            d0: 1e-6,
            common: Common::decay(Decay::Update, 0.0),
        }
    }

    fn rate(&self, step: u64, d: f64) -> f64 {
        step_size(self.lr * d, self.beta1, self.beta2, step)
    }
}

impl Rule for DAdaptAdam {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                EXP_AVG,
                EXP_AVG_SQ,
                Slot::full("grad_sum", Role::Sum),
                Slot::scalar("d").starting_as(Initial::Rule),
                Slot::scalar("numerator"),
                Slot::scalar("rate"),
            ]
        }
    }

    fn initial(&self, slot: usize) -> f32 {
        if slot == 3 { self.d0 as f32 } else { 0.0 }
    }

    fn with_measuring_kernel<V: KernelVisitor>(
        &self,
        step: u64,
        scalars: &[f64],
        visitor: V,
    ) -> Option<V::Output> {
        let rate = self.rate(step, scalar(scalars, 0));
        let rest = 1.0 - sqrt(self.beta2);
        Some(visitor.visit(Measured {
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            rest3: rest as f32,
            eps: self.eps as f32,
            rate: rate as f32,
        }))
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, scalars: &[f64], visitor: V) -> V::Output {
        let rate = scalar(scalars, 2);
        visitor.visit(Stepped { eps: self.eps as f32, decay: (rate * self.common.update_decay()) as f32 })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for DAdaptAdam {
    fn sums(&self) -> &'static [Sum] {
        &[Sum { slot: 3, term: Term::Value }, Sum { slot: 2, term: Term::Magnitude }]
    }

    fn scope(&self) -> Scope {
        Scope::Together
    }

    fn settle(&self, step: u64, sums: &[f64], scalars: &mut [f64]) {
        let ([progress, size], [d, numerator, rate]) = (sums, scalars) else { return };
        let (old, b) = (*d, sqrt(self.beta2));
        let taken = self.rate(step, old);
        let moved = b * *numerator + (1.0 - b) * taken * progress;
        if *size > 0.0 {
            *d = old.max(moved / ((1.0 - b) * size));
        }
        (*numerator, *rate) = (moved, taken);
    }
}

/// Moves the averages, and puts out what each element adds to the estimate.
#[derive(Clone, Copy)]
struct Measured {
    rest1: f32,
    rest2: f32,
    rest3: f32,
    eps: f32,
    rate: f32,
}

impl Kernel<4> for Measured {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [m, v, s, _]: [L; 4]) -> (Change<L>, [L; 4]) {
        let g = g.squarable();
        let progress = g * s / (v.sqrt() + self.eps);
        let pull = g * self.rate;
        let state = [m.lerp(pull, self.rest1), v.lerp(g * g, self.rest2), s.lerp(pull, self.rest3), progress];
        (Change::To(p), state)
    }
}

#[derive(Clone, Copy)]
struct Stepped {
    eps: f32,
    decay: f32,
}

impl Kernel<3> for Stepped {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, _: L, [m, v, s]: [L; 3]) -> (Change<L>, [L; 3]) {
        (Change::By(m / (v.sqrt() + self.eps) + p * self.decay), [m, v, s])
    }
}
