use crate::{
    numbers::math::powf,
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Role, Slot},
    },
    simd::lane::Lane,
};

rule_options! {
    /// Averaged SGD: gradient descent with a decaying rate and a slight decay of weights, and the average of its path.
    ///
    /// ```text
    /// eta = lr / (1 + lambd*lr*(t-1))^alpha;  mu = 1 / max(1, t-1-t0)
    /// p = (1 - lambd*eta)*p - eta*g
    /// ax = ax + mu*(p - ax)
    /// ```
    ///
    /// Up to step `t0` + 2 the average is the parameter itself. The model to be used is `ax`.
    ///
    /// **State**: `ax`, the average; zero at first, overwritten by the first step.
    ///
    /// **Defaults**: [`torch`](Asgd::torch) lr 0.01, lambd 0.0001, alpha 0.75, t0 1e6.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Asgd, step};
    ///
    /// let rule = Asgd::torch().lr(0.5)?.lambd(0.0)?.t0(0.0)?;
    /// let (mut params, mut ax) = ([1.0], [0.0]);
    /// for (t, g) in [(1, 1.0), (2, 0.5), (3, 0.5)] {
    ///     step(&rule, t, &mut params, &[g], &mut [&mut ax])?;
    /// }
    /// assert_eq!((params, ax), ([0.0], [0.125])); // the mean of 0.25 and 0
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the rates are those of
    /// Bottou's SGD code.
    ///
    /// **Where frameworks differ**: only PyTorch has it. It keeps `eta` and `mu` as state; here they follow from the step's
    /// number, so that a change of `lr` acts at once instead of a step later. The average is of the parameters that this
    /// rule makes, before decoupled decay and the like.
    pub struct Asgd = "asgd" {
        /// Learning rate of the first step.
        lr: f64 => NonNegative,
        /// How parameters, and the rate, decay.
        lambd: f64 => NonNegative,
        /// The power of the rate's decay.
        alpha: f64 => NonNegative,
        /// After how many steps averaging begins.
        t0: f64 => NonNegative,
    }
}

impl Asgd {
    /// As `torch.optim.ASGD`.
    #[must_use]
    pub const fn torch() -> Self {
        Self { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, common: Common::NONE }
    }
}

impl Rule for Asgd {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[Slot::full("ax", Role::Point)] }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let before = step.saturating_sub(1) as f64;
        let eta = self.lr / powf(1.0 + self.lambd * self.lr * before, self.alpha);
        let mu = 1.0 / (before - self.t0).max(1.0);
        visitor.visit(Averaged { eta: eta as f32, decay: (self.lambd * eta) as f32, mu: mu as f32 })
    }
}

#[derive(Clone, Copy)]
struct Averaged {
    eta: f32,
    decay: f32,
    mu: f32,
}

impl Kernel<1> for Averaged {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [ax]: [L; 1]) -> (Change<L>, [L; 1]) {
        let change = p * self.decay + g * self.eta;
        (Change::By(change), [ax.lerp(p - change, self.mu)])
    }
}
