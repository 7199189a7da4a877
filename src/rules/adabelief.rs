use crate::{
    AdamEps, Change, Kernel, KernelVisitor, Lane, Role, Rule, Slot,
    moments::{Numerator, Root, correction},
    options::{rule_methods, rule_options},
    prepare::Common,
    slot::EXP_AVG,
};

rule_options! {
    /// AdaBelief: Adam divided by how far gradients are from their average, instead of by how large they are.
    ///
    /// ```text
    /// exp_avg     m = beta1*m + (1-beta1)*g
    /// exp_avg_var s = beta2*s + (1-beta2)*(g - m)^2 + eps_root
    /// m^ = m/(1-beta1^t);  s^ = s/(1-beta2^t)
    /// p = p - lr * m^ / (sqrt(s^) + eps)
    ///
    /// nesterov: m^ = beta1*m/(1-beta1^(t+1)) + (1-beta1)*g/(1-beta1^t)
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_var`, zero at first.
    ///
    /// **Defaults**: lr 0.001, betas 0.9 and 0.999, eps and eps_root 1e-16: [`optax`](AdaBelief::optax) (which has no default lr)
    /// and [`paper`](AdaBelief::paper), the authors' code, alike.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{AdaBelief, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_var) = ([1.0], [0.0], [0.0]);
    /// step(&AdaBelief::optax(), 1, &mut params, &[2.0], &mut [&mut exp_avg, &mut exp_avg_var])?;
    /// // m^ is 2, s^ is (2 - 0.2)^2
    /// assert!((params[0] - (1.0 - 0.001 * 2.0 / 1.8)).abs() < 1e-6);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Zhuang et al., "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients", 2020.
    ///
    /// **Where frameworks differ**: little; the first versions of the authors' code had other epsilons. `eps_root` enters the
    /// state, so that 1e-16 a step becomes 1e-13 in the long run.
    pub struct AdaBelief = "adabelief" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_var` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Added to `exp_avg_var` at every step.
        eps_root: f64 => NonNegative,
        /// Nesterov's look-ahead.
        nesterov: bool,
    }
}

impl AdaBelief {
    /// As `optax.adabelief`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-16,
            eps_root: 1e-16,
            nesterov: false,
            common: Common::NONE,
        }
    }

    /// As the authors' code, without its rectification.
    #[must_use]
    pub const fn paper() -> Self {
        Self::optax()
    }
}

impl Rule for AdaBelief {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[EXP_AVG, Slot::full("exp_avg_var", Role::Square)] }
    }

    fn with_kernel<V: KernelVisitor>(&self, step: u64, visitor: V) -> V::Output {
        let root = Root::new(self.eps, AdamEps::AfterCorrection, 0.0, correction(self.beta2, step));
        visitor.visit(Belief {
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            eps_root: self.eps_root as f32,
            numerator: Numerator::new(self.lr * root.scale, self.beta1, step, self.nesterov),
            root,
        })
    }
}

#[derive(Clone, Copy)]
struct Belief {
    rest1: f32,
    rest2: f32,
    eps_root: f32,
    numerator: Numerator,
    root: Root,
}

impl Kernel<2> for Belief {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, s]: [L; 2]) -> (Change<L>, [L; 2]) {
        let m = m.lerp(g, self.rest1);
        let surprise = g - m;
        let s = s.lerp(surprise * surprise, self.rest2) + self.eps_root;
        (Change::By(self.numerator.of(m, g) / self.root.of(s)), [m, s])
    }
}
