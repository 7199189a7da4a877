use crate::{
    rule::{
        choices::choices,
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, Role, Slot},
    },
    rules::parts::moments::{AdamEps, Numerator, Root, correction},
    simd::lane::Lane,
};

choices! {
    /// Where AdaBelief's `eps` stands.
    pub enum BeliefEps {
        /// Added to the corrected root: optax.
        Outside = "outside",
        /// The same, and added to `exp_avg_var` at every step as well, as `eps_root` is: the authors' code.
        Twice = "twice",
    }
}

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
    /// **Defaults**: lr 0.001, betas 0.9 and 0.999, eps 1e-16; [`optax`](AdaBelief::optax) (which has no default lr) eps_root
    /// 1e-16; [`paper`](AdaBelief::paper), the authors' code, eps "twice" and decoupled decay.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses a beta1 of 0 without any epsilon: a
    /// gradient is no surprise then, and it would be divided by 0.
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
    /// **Where frameworks differ**: optax has two epsilons, and the authors one in both places, with other values in the first
    /// versions of their code. What is added to the state at each step, 1e-16, becomes 1e-13 in the long run.
    pub struct AdaBelief = "adabelief" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_var` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Where `eps` stands.
        eps_place: BeliefEps,
        /// Added to `exp_avg_var` at every step.
        eps_root: f64 => NonNegative,
        /// Nesterov's look-ahead.
        nesterov: bool,
    }
    refused by AdaBelief::contradiction
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
            eps_place: BeliefEps::Outside,
            eps_root: 1e-16,
            nesterov: false,
            common: Common::NONE,
        }
    }

    /// As the authors' code, without its rectification.
    #[must_use]
    pub const fn paper() -> Self {
        Self { eps_place: BeliefEps::Twice, eps_root: 0.0, common: Common::decoupled(0.0), ..Self::optax() }
    }

    fn contradiction(&self) -> Option<&'static str> {
        let unsurprised = (1.0 - self.beta1) as f32 == 1.0 && self.eps == 0.0 && self.eps_root == 0.0;
        unsurprised.then_some("with beta1 0 eps or eps_root must be above 0")
    }

    /// Returns what is added to `exp_avg_var` at every step.
    fn added(&self) -> f64 {
        self.eps_root + if self.eps_place == BeliefEps::Twice { self.eps } else { 0.0 }
    }
}

impl Rule for AdaBelief {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[EXP_AVG, Slot::full("exp_avg_var", Role::Square)] }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let root = Root::new(self.eps, AdamEps::AfterCorrection, 0.0, correction(self.beta2, step));
        visitor.visit(Belief {
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            eps_root: self.added() as f32,
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
        let g = g.squarable();
        let m = m.lerp(g, self.rest1);
        let surprise = g - m;
        let s = s.lerp(surprise * surprise, self.rest2) + self.eps_root;
        (Change::By(self.numerator.of(m, g) / self.root.of(s)), [m, s])
    }
}
