use crate::{
    rule::{
        common::{Common, Decay},
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{MOMENTUM_BUFFER, Slot},
    },
    rules::parts::velocity::{Coefficients, Velocity},
    simd::lane::Lane,
};

rule_options! {
    /// Gradient descent with momentum: a step along a velocity that collects gradients.
    ///
    /// ```text
    /// velocity            v                            p                                nesterov
    /// sum                 v = momentum*v + c*g         p = p - lr*v                     p = p - lr*(momentum*v + g)
    /// lr-inside           v = momentum*v + lr*g        p = p - v                        p = p - (momentum*v + lr*g)
    /// lr-inside-negative  v = momentum*v - lr*g        p = p + v                        p = p + (momentum*v - lr*g)
    /// average             v = momentum*v               p = p - lr*v                     p = p - lr*(momentum*v
    ///                         + (1-momentum)*g                                              + (1-momentum)*g)
    ///
    /// c = 1 - dampening, and 1 at the first step
    /// ```
    ///
    /// **State**: `momentum_buffer`, the velocity; zero at first.
    ///
    /// **Defaults**: momentum 0.9 in every preset (the frameworks' own default is 0, which is
    /// [`Sgd`](crate::Sgd)); [`torch`](Momentum::torch) lr 0.001, dampening 0, velocity `sum`;
    /// [`keras`](Momentum::keras) lr 0.01, velocity `lr-inside-negative`, decoupled decay; [`optax`](Momentum::optax) as torch (optax
    /// has no default lr); [`burn`](Momentum::burn) lr 0.001 (burn has none), dampening 0.1;
    /// [`textbook`](Momentum::textbook) lr 0.01, velocity `lr-inside`.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses dampening with another velocity than
    /// `sum`.
    ///
    /// ```
    /// use gradstep::{Momentum, step};
    ///
    /// let rule = Momentum::torch().lr(0.25)?.momentum(0.5)?.nesterov(true)?;
    /// let (mut params, mut momentum_buffer) = ([1.0], [0.0]);
    /// step(&rule, 1, &mut params, &[1.0], &mut [&mut momentum_buffer])?;
    /// assert_eq!((params, momentum_buffer), ([0.625], [1.0]));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Papers**: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et
    /// al., "On the importance of initialization and momentum in deep learning", 2013, for Nesterov's form.
    ///
    /// **Where frameworks differ**: in where the learning rate stands, which shows as soon as it changes; in the sign
    /// of the state, which shows when a checkpoint crosses over; in the first step under dampening; in what
    /// `weight_decay` means (Keras decouples it). PyTorch refuses Nesterov with dampening; burn takes it, and so does
    /// this crate. One textbook prints `v = momentum*v + lr*g; p = p + v`: that is a misprint, and climbs. The sign must
    /// be minus.
    pub struct Momentum = "momentum" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of the velocity after a step.
        momentum: f64 => BelowOne,
        /// How much less than the whole gradient enters the velocity, from the second step on.
        dampening: f64 => Unit,
        /// Nesterov's look-ahead.
        nesterov: bool,
        /// Where the learning rate stands.
        velocity: Velocity,
    }
    refused by Momentum::contradiction
}

impl Momentum {
    /// As `torch.optim.SGD(momentum=0.9)`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 1e-3,
            momentum: 0.9,
            dampening: 0.0,
            nesterov: false,
            velocity: Velocity::Sum,
            common: Common::NONE,
        }
    }

    /// As `keras.optimizers.SGD(momentum=0.9)`.
    #[must_use]
    pub const fn keras() -> Self {
        Self {
            lr: 1e-2,
            velocity: Velocity::LrInsideNegative,
            common: Common::decoupled(0.0),
            ..Self::torch()
        }
    }

    /// As `optax.sgd(momentum=0.9)`.
    #[must_use]
    pub const fn optax() -> Self {
        Self::torch()
    }

    /// As `burn::optim::SgdConfig` with its `MomentumConfig`.
    #[must_use]
    pub const fn burn() -> Self {
        Self { dampening: 0.1, ..Self::torch() }
    }

    /// As most textbooks: the learning rate inside the velocity.
    #[must_use]
    pub const fn textbook() -> Self {
        Self { lr: 1e-2, velocity: Velocity::LrInside, ..Self::torch() }
    }

    /// With another learning rate, known to be valid.
    pub(super) const fn at(self, lr: f64) -> Self {
        Self { lr, ..self }
    }

    /// With another decay.
    pub(super) const fn decayed(self, decay: Decay, weight_decay: f64) -> Self {
        Self { common: Common::decay(decay, weight_decay), ..self }
    }

    fn contradiction(&self) -> Option<&'static str> {
        let stray = self.dampening != 0.0 && self.velocity != Velocity::Sum;
        stray.then_some("dampening belongs to the velocity \"sum\" alone")
    }
}

impl Rule for Momentum {
    rule_methods!();

    fn convention(&self) -> &'static str {
        self.velocity.word()
    }

    fn slots(&self) -> &'static [Slot] {
        &[MOMENTUM_BUFFER]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let mut coefficients = self.velocity.coefficients(self.lr, self.momentum, self.nesterov);
        if self.dampening > 0.0 && step > 1 {
            coefficients.gain = (1.0 - self.dampening) as f32;
        }
        visitor.visit(Heavy(coefficients))
    }
}

#[derive(Clone, Copy)]
struct Heavy(Coefficients);

impl Kernel<1> for Heavy {
    const L2_IN_LOOP: bool = true;

    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [v]: [L; 1]) -> (Change<L>, [L; 1]) {
        let (change, v) = self.0.follow(g, v);
        (Change::By(change), [v])
    }
}
