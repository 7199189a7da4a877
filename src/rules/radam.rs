use crate::{
    numbers::math::{powi, sqrt},
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Slot},
    },
    rules::parts::moments::{AdamEps, Moments, Numerator, Root, correction},
    simd::lane::Lane,
};

rule_options! {
    /// RAdam: Adam that goes without its denominator until that rests on enough gradients, and is rectified then.
    ///
    /// ```text
    /// exp_avg    m = beta1*m + (1-beta1)*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// m^ = m/(1-beta1^t);  v^ = v/(1-beta2^t)
    /// rho_inf = 2/(1-beta2) - 1;  rho = rho_inf - 2*t*beta2^t/(1-beta2^t)
    /// r = sqrt((rho-4)*(rho-2)*rho_inf / ((rho_inf-4)*(rho_inf-2)*rho))
    ///
    /// rho > threshold: p = p - lr * r * m^ / (sqrt(v^ + eps_root) + eps)
    /// otherwise:       p = p - lr * m^
    ///
    /// eps "hat":       p = p - lr * r * m^ / ((sqrt(v) + eps) / sqrt(1-beta2^t))
    /// nesterov:        m^ = beta1*m/(1-beta1^(t+1)) + (1-beta1)*g/(1-beta1^t)
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, zero at first.
    ///
    /// **Defaults**: lr 0.001 (optax has none), betas 0.9 and 0.999, eps 1e-8, threshold 5; [`torch`](RAdam::torch) epsilon
    /// hat, [`optax`](RAdam::optax) epsilon after correction.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses a threshold below 4, where `r` is the root of a
    /// negative number.
    ///
    /// ```
    /// use gradstep::{RAdam, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
    /// step(&RAdam::torch().lr(0.5)?, 1, &mut params, &[0.25], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert_eq!(params, [0.875]); // the first steps are those of momentum
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020.
    ///
    /// **Where frameworks differ**: in where epsilon stands; optax rectifies from the threshold on, PyTorch (and this crate)
    /// above it, which is the same but for a tie.
    pub struct RAdam = "radam" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root, where `eps_place` says.
        eps: f64 => NonNegative,
        /// Where `eps` stands.
        eps_place: AdamEps,
        /// Added inside the root, to the corrected second moment.
        eps_root: f64 => NonNegative,
        /// The length of the average above which the denominator is used.
        threshold: f64 => NonNegative,
        /// Nesterov's look-ahead.
        nesterov: bool,
    }
    refused by RAdam::contradiction
}

impl RAdam {
    /// As `torch.optim.RAdam`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_place: AdamEps::Hat,
            eps_root: 0.0,
            threshold: 5.0,
            nesterov: false,
            common: Common::NONE,
        }
    }

    /// As `optax.radam`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { eps_place: AdamEps::AfterCorrection, ..Self::torch() }
    }

    fn contradiction(&self) -> Option<&'static str> {
        (self.threshold < 4.0).then_some("a threshold below 4 takes the root of a negative number")
    }

    /// `r`, where there is one.
    fn rectification(&self, step: u64) -> Option<f64> {
        let longest = 2.0 / (1.0 - self.beta2) - 1.0;
        let power = powi(self.beta2, step);
        let length = longest - 2.0 * step as f64 * power / (1.0 - power);
        let ratio = |length: f64| (length - 4.0) * (length - 2.0) / length;
        (length > self.threshold).then(|| sqrt(ratio(length) / ratio(longest)))
    }
}

impl Rule for RAdam {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[EXP_AVG, EXP_AVG_SQ]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let moments = Moments::new(self.beta1, self.beta2);
        let numerator = |lr| Numerator::new(lr, self.beta1, step, self.nesterov);
        match self.rectification(step) {
            None => visitor.visit(Unrectified { moments, numerator: numerator(self.lr) }),
            Some(r) => {
                let correction = correction(self.beta2, step);
                let root = Root::new(self.eps, self.eps_place, self.eps_root, correction);
                let numerator = numerator(self.lr * r * root.scale);
                visitor.visit(Rectified { moments, numerator, root })
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Unrectified {
    moments: Moments,
    numerator: Numerator,
}

impl Kernel<2> for Unrectified {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        (Change::By(self.numerator.of(m, g)), [m, v])
    }
}

#[derive(Clone, Copy)]
struct Rectified {
    moments: Moments,
    numerator: Numerator,
    root: Root,
}

impl Kernel<2> for Rectified {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        (Change::By(self.numerator.of(m, g) / self.root.of(v)), [m, v])
    }
}
