use crate::{
    rule::{
        choices::choices,
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, Slot},
    },
    simd::lane::Lane,
};

choices! {
    /// What Lion makes of the interpolated gradient.
    pub enum LionMode {
        /// Its sign: the paper, Keras, optax.
        Hard = "hard",
        /// Itself within -1 and 1, and its sign beyond: optax.
        Refined = "refined",
    }
}

rule_options! {
    /// Lion: the sign of a gradient that is interpolated with an average, which itself forgets more slowly.
    ///
    /// ```text
    /// c = beta1*m + (1-beta1)*g
    /// exp_avg m = beta2*m + (1-beta2)*g
    /// p = p - lr*sign(c)
    ///
    /// mode "refined": p = p - lr*c where abs(c) < 1
    /// ```
    ///
    /// The sign of zero, and of NaN, is 0.
    ///
    /// **State**: `exp_avg`, zero at first.
    ///
    /// **Defaults**: betas 0.9 and 0.99 in every preset, and decoupled decay; [`paper`](Lion::paper) lr 0.0001, no decay;
    /// [`keras`](Lion::keras) lr 0.001, no decay; [`optax`](Lion::optax) lr 0.001 (optax has no default), decay 0.001.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Lion, step};
    ///
    /// let (mut params, mut exp_avg) = ([1.0], [0.0]);
    /// step(&Lion::paper().lr(0.25)?, 1, &mut params, &[-7.0], &mut [&mut exp_avg])?;
    /// assert_eq!(params, [1.25]);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023.
    ///
    /// **Where frameworks differ**: in defaults alone. optax' mode "smooth" takes a hyperbolic tangent, which is not here:
    /// it is no operation of IEEE 754, and its bits would depend on the machine.
    pub struct Lion = "lion" {
        /// Learning rate: the length of every step.
        lr: f64 => NonNegative,
        /// The average's part in the step.
        beta1: f64 => BelowOne,
        /// What is left of the average after a step.
        beta2: f64 => BelowOne,
        /// What becomes of the interpolated gradient.
        mode: LionMode,
    }
}

impl Lion {
    /// As the paper's own code.
    #[must_use]
    pub const fn paper() -> Self {
        Self { lr: 1e-4, beta1: 0.9, beta2: 0.99, mode: LionMode::Hard, common: Common::decoupled(0.0) }
    }

    /// As `keras.optimizers.Lion`.
    #[must_use]
    pub const fn keras() -> Self {
        Self { lr: 1e-3, ..Self::paper() }
    }

    /// As `optax.lion`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { lr: 1e-3, common: Common::decoupled(1e-3), ..Self::paper() }
    }
}

impl Rule for Lion {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[EXP_AVG]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Interpolated {
            lr: self.lr as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            mode: self.mode,
        })
    }
}

#[derive(Clone, Copy)]
struct Interpolated {
    lr: f32,
    rest1: f32,
    rest2: f32,
    mode: LionMode,
}

impl Kernel<1> for Interpolated {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m]: [L; 1]) -> (Change<L>, [L; 1]) {
        let c = m.lerp(g, self.rest1);
        let direction = match self.mode {
            LionMode::Hard => c.sign(),
            LionMode::Refined => L::select(c.abs().lt(c.splat(1.0)), c, c.sign()),
        };
        (Change::By(direction * self.lr), [m.lerp(g, self.rest2)])
    }
}
