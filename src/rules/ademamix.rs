use crate::{
    numbers::math::{ln, powf},
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Role, Slot},
    },
    rules::parts::moments::{AdamEps, Moments, Root, correction},
    simd::lane::Lane,
};

rule_options! {
    /// AdEMAMix: Adam with a second, very slow average of gradients beside the first.
    ///
    /// ```text
    /// exp_avg      m = beta1*m + (1-beta1)*g
    /// exp_avg_slow s = b*s + (1-b)*g
    /// exp_avg_sq   v = beta2*v + (1-beta2)*g^2
    /// m^ = m/(1-beta1^t);  v^ = v/(1-beta2^t)
    /// p = p - lr * (m^ + a*s) / (sqrt(v^ + eps_root) + eps)
    ///
    /// a = alpha, or alpha*t/alpha_warmup before that step
    /// b = beta3, or before step beta3_warmup, with x = t/beta3_warmup,
    ///     exp(ln(beta1)*ln(beta3) / ((1-x)*ln(beta3) + x*ln(beta1)))
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_slow`, `exp_avg_sq`, all zero at first. The slow average is not corrected: it fills up
    /// slowly on purpose.
    ///
    /// **Defaults**: lr 0.001 (optax has none), betas 0.9, 0.999 and 0.9999, eps 1e-8, no warm-ups, decoupled decay;
    /// [`paper`](AdEmaMix::paper) alpha 8, [`optax`](AdEmaMix::optax) alpha 5.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses a warm-up of beta3 from a beta1 or to a
    /// beta3 of 0.
    ///
    /// ```
    /// use gradstep::{AdEmaMix, step};
    ///
    /// let (mut params, mut m, mut slow, mut v) = ([1.0], [0.0], [0.0], [0.0]);
    /// step(&AdEmaMix::paper(), 1, &mut params, &[5.0], &mut [&mut m, &mut slow, &mut v])?;
    /// // 1 + 8*(1 - 0.9999) times lr
    /// assert!((params[0] - 0.9989992).abs() < 1e-6);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Pagliardini, Ablin and Grangier, "The AdEMAMix Optimizer: Better, Faster, Older", 2024.
    ///
    /// **Where frameworks differ**: in `alpha`. The authors' code adds 1e-8 inside the logarithms of the warm-up; optax takes
    /// schedules of the caller's for both.
    pub struct AdEmaMix = "ademamix" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// What is left of `exp_avg_slow` after a step.
        beta3: f64 => BelowOne,
        /// The weight of the slow average.
        alpha: f64 => NonNegative,
        /// Over how many steps `alpha` grows from 0; 0 for none.
        alpha_warmup: f64 => NonNegative,
        /// Over how many steps `beta3` grows from `beta1`; 0 for none.
        beta3_warmup: f64 => NonNegative,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Added inside the root, to the corrected second moment.
        eps_root: f64 => NonNegative,
    }
    refused by AdEmaMix::contradiction
}

impl AdEmaMix {
    /// As the paper recommends, but for its warm-ups, which belong to a length of training.
    #[must_use]
    pub const fn paper() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            beta3: 0.9999,
            alpha: 8.0,
            alpha_warmup: 0.0,
            beta3_warmup: 0.0,
            eps: 1e-8,
            eps_root: 0.0,
            common: Common::decoupled(0.0),
        }
    }

    /// As `optax.contrib.ademamix`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { alpha: 5.0, ..Self::paper() }
    }

    fn contradiction(&self) -> Option<&'static str> {
        (self.beta3_warmup > 0.0 && (self.beta1 == 0.0 || self.beta3 == 0.0))
            .then_some("the warm-up of beta3 takes the logarithms of beta1 and beta3, which must be above 0")
    }

    fn alpha_at(&self, t: f64) -> f64 {
        if t < self.alpha_warmup { self.alpha * t / self.alpha_warmup } else { self.alpha }
    }

    fn beta3_at(&self, t: f64) -> f64 {
        if t >= self.beta3_warmup {
            return self.beta3;
        }
        let (x, ln1, ln3) = (t / self.beta3_warmup, ln(self.beta1), ln(self.beta3));
        powf(self.beta1, ln3 / ((1.0 - x) * ln3 + x * ln1))
    }
}

impl Rule for AdEmaMix {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[EXP_AVG, Slot::full("exp_avg_slow", Role::SlowMean), EXP_AVG_SQ] }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let root = Root::new(self.eps, AdamEps::AfterCorrection, self.eps_root, correction(self.beta2, step));
        let (t, lr) = (step as f64, self.lr * root.scale);
        visitor.visit(Mixed {
            moments: Moments::new(self.beta1, self.beta2),
            slow_rest: (1.0 - self.beta3_at(t)) as f32,
            fast: (lr / correction(self.beta1, step)) as f32,
            slow: (lr * self.alpha_at(t)) as f32,
            root,
        })
    }
}

#[derive(Clone, Copy)]
struct Mixed {
    moments: Moments,
    slow_rest: f32,
    fast: f32,
    slow: f32,
    root: Root,
}

impl Kernel<3> for Mixed {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, s, v]: [L; 3]) -> (Change<L>, [L; 3]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        let s = s.lerp(g, self.slow_rest);
        (Change::By((m * self.fast + s * self.slow) / self.root.of(v)), [m, s, v])
    }
}
