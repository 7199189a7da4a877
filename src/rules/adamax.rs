use crate::{
    rule::{
        choices::choices,
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, Role, Slot},
    },
    rules::parts::moments::correction,
    simd::lane::Lane,
};

choices! {
    /// Where Adamax' `eps` stands.
    pub enum AdamaxEps {
        /// Added to the gradient's magnitude before the maximum is taken, and so kept in the state: PyTorch, optax.
        InsideMax = "inside-max",
        /// Added to the maximum: Keras.
        Outside = "outside",
    }
}

rule_options! {
    /// Adamax: Adam with the largest gradient of late in place of the root of the mean square.
    ///
    /// ```text
    /// exp_avg m = beta1*m + (1-beta1)*g
    /// exp_inf u = max(beta2*u, abs(g) + eps)
    /// p = p - lr/(1-beta1^t) * m/u
    ///
    /// eps "outside": u = max(beta2*u, abs(g)), and m/(u + eps)
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_inf`, zero at first.
    ///
    /// **Defaults**: betas 0.9 and 0.999; [`torch`](Adamax::torch) lr 0.002, eps 1e-8 inside; [`keras`](Adamax::keras) lr
    /// 0.001, eps 1e-7 outside, decoupled decay; [`optax`](Adamax::optax) lr 0.001 (optax has no default), eps 1e-8 inside.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Adamax, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_inf) = ([1.0], [0.0], [0.0]);
    /// step(&Adamax::torch().lr(0.5)?, 1, &mut params, &[64.0], &mut [&mut exp_avg, &mut exp_inf])?;
    /// assert_eq!((params, exp_inf), ([0.5], [64.0]));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 7.1.
    ///
    /// **Where frameworks differ**: in where epsilon stands, which shows where gradients are as small as it, and in the state.
    pub struct Adamax = "adamax" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_inf` after a step.
        beta2: f64 => BelowOne,
        /// Keeps the denominator from zero.
        eps: f64 => NonNegative,
        /// Where `eps` stands.
        eps_place: AdamaxEps,
    }
}

impl Adamax {
    /// As `torch.optim.Adamax`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 2e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_place: AdamaxEps::InsideMax,
            common: Common::NONE,
        }
    }

    /// As `keras.optimizers.Adamax`.
    #[must_use]
    pub const fn keras() -> Self {
        let common = Common::decoupled(0.0);
        Self { lr: 1e-3, eps: 1e-7, eps_place: AdamaxEps::Outside, common, ..Self::torch() }
    }

    /// As `optax.adamax`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { lr: 1e-3, ..Self::torch() }
    }

    /// As `optax.adamaxw`. By name it is `AnyRule::named("adamaxw")`.
    #[must_use]
    pub const fn optax_adamaxw() -> Self {
        Self { common: Common::decoupled(1e-4), ..Self::optax() }
    }
}

impl Rule for Adamax {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[EXP_AVG, Slot::full("exp_inf", Role::Max)] }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let (inside, outside) = match self.eps_place {
            AdamaxEps::InsideMax => (self.eps, 0.0),
            AdamaxEps::Outside => (0.0, self.eps),
        };
        visitor.visit(Largest {
            lr: (self.lr / correction(self.beta1, step)) as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            inside: inside as f32,
            outside: outside as f32,
        })
    }
}

#[derive(Clone, Copy)]
struct Largest {
    lr: f32,
    rest1: f32,
    rest2: f32,
    inside: f32,
    outside: f32,
}

impl Kernel<2> for Largest {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, u]: [L; 2]) -> (Change<L>, [L; 2]) {
        let m = m.lerp(g, self.rest1);
        // Not u*beta2: rounded to f32, beta2 is off by 1e-8, which a maximum that fades for thousands of steps collects.
        let u = (u - u * self.rest2).max(g.abs() + self.inside);
        (Change::By(m * self.lr / (u + self.outside)), [m, u])
    }
}
