use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, MAX_EXP_AVG_SQ, Slot},
        values::LARGEST,
    },
    rules::parts::moments::{Moments, step_size},
    simd::lane::Lane,
};

rule_options! {
    /// AdaBound: Adam whose rates are held between bounds that close on one rate, so that it ends as SGD.
    ///
    /// ```text
    /// exp_avg    m = beta1*m + (1-beta1)*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// final = final_lr*lr/base_lr
    /// rate = lr * sqrt(1-beta2^t)/(1-beta1^t) / (sqrt(v) + eps)
    /// rate within final*(1 - 1/(gamma*t + 1)) and final*(1 + 1/(gamma*t))
    /// p = p - rate*m
    ///
    /// amsgrad: max = max(max, v), which takes the place of v in the rate
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, with AMSGrad also `max_exp_avg_sq`; all zero at first.
    ///
    /// **Defaults**: [`paper`](AdaBound::paper) lr and base_lr 0.001, betas 0.9 and 0.999, final_lr 0.1, gamma 0.001, eps 1e-8.
    /// With AMSGrad: [`AmsBound`](crate::AmsBound).
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses a final rate that is too large for one.
    ///
    /// ```
    /// use gradstep::{AdaBound, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
    /// let rule = AdaBound::paper().gamma(1e9)?; // bounds that meet at once
    /// step(&rule, 1, &mut params, &[2.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert!((params[0] - (1.0 - 0.1 * 0.2)).abs() < 1e-6);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Luo et al., "Adaptive Gradient Methods with Dynamic Bound of Learning Rate", 2019.
    ///
    /// **Where frameworks differ**: nowhere; PyTorch, Keras and optax don't have it. The formula is that of the authors' code:
    /// `base_lr` is the rate that training began with, so that the final rate follows a schedule of `lr`.
    pub struct AdaBound = "adabound" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// The `lr` that `final_lr` belongs to. Set it with `lr`: the authors' code takes it from there.
        base_lr: f64 => Positive,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// The rate that the bounds close on.
        final_lr: f64 => NonNegative,
        /// How fast they close.
        gamma: f64 => NonNegative,
        /// Added outside the root of the raw second moment.
        eps: f64 => NonNegative,
        /// Divide by the largest second moment so far.
        amsgrad: bool,
    }
    refused by AdaBound::contradiction
}

impl AdaBound {
    /// As the authors' code.
    #[must_use]
    pub const fn paper() -> Self {
        Self {
            lr: 1e-3,
            base_lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            final_lr: 0.1,
            gamma: 1e-3,
            eps: 1e-8,
            amsgrad: false,
            common: Common::NONE,
        }
    }

    /// With AMSGrad.
    pub(super) const fn largest(self) -> Self {
        Self { amsgrad: true, ..self }
    }

    fn contradiction(&self) -> Option<&'static str> {
        (self.final_rate() > LARGEST).then_some("final_lr*lr/base_lr is above 1e9")
    }

    fn final_rate(&self) -> f64 {
        self.final_lr * (self.lr / self.base_lr)
    }

    fn rate(&self, step: u64) -> Rate {
        let fixed = self.final_rate();
        let closed = self.gamma * step as f64;
        let upper = if closed > 0.0 { fixed * (1.0 + 1.0 / closed) } else { f64::INFINITY };
        let lr = step_size(self.lr, self.beta1, self.beta2, step);
        Rate {
            lr: lr as f32,
            eps: self.eps as f32,
            lower: (fixed * (1.0 - 1.0 / (closed + 1.0))) as f32,
            upper: upper as f32,
        }
    }
}

impl Rule for AdaBound {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        if self.amsgrad { &[EXP_AVG, EXP_AVG_SQ, MAX_EXP_AVG_SQ] } else { &[EXP_AVG, EXP_AVG_SQ] }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let (moments, rate) = (Moments::new(self.beta1, self.beta2), self.rate(step));
        if self.amsgrad {
            visitor.visit(Largest { moments, rate })
        } else {
            visitor.visit(Plain { moments, rate })
        }
    }
}

#[derive(Clone, Copy)]
struct Rate {
    lr: f32,
    eps: f32,
    lower: f32,
    upper: f32,
}

impl Rate {
    #[inline(always)]
    fn of<L: Lane>(self, v: L) -> L {
        let rate = v.splat(self.lr) / (v.sqrt() + self.eps);
        rate.max(v.splat(self.lower)).min(v.splat(self.upper))
    }
}

#[derive(Clone, Copy)]
struct Plain {
    moments: Moments,
    rate: Rate,
}

impl Kernel<2> for Plain {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        (Change::By(self.rate.of(v) * m), [m, v])
    }
}

#[derive(Clone, Copy)]
struct Largest {
    moments: Moments,
    rate: Rate,
}

impl Kernel<3> for Largest {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v, max]: [L; 3]) -> (Change<L>, [L; 3]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        let max = max.max(v);
        (Change::By(self.rate.of(max) * m), [m, v, max])
    }
}
