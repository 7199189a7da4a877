use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, Role, Slot},
    },
    rules::parts::moments::RootEps,
    simd::lane::Lane,
};

rule_options! {
    /// AdaGrad: each coordinate's step shrinks with the sum of its squared gradients.
    ///
    /// ```text
    /// sum = sum + g^2
    /// p   = p - lr/(1 + (t-1)*lr_decay) * g / (sqrt(sum) + eps)
    ///
    /// eps "inside": g / sqrt(sum + eps)
    /// ```
    ///
    /// **State**: `sum`, at first `initial_accumulator_value`.
    ///
    /// **Defaults**: [`torch`](AdaGrad::torch) lr 0.01, lr_decay 0, initial 0, eps 1e-10 outside the root;
    /// [`keras`](AdaGrad::keras) lr 0.001, initial 0.1, 1e-7 inside; [`optax`](AdaGrad::optax) initial 0.1, 1e-7
    /// inside, no step where the sum is 0 (it has no default lr: 0.001 here).
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{AdaGrad, step};
    ///
    /// let (mut params, mut sum) = ([1.0], [0.0]);
    /// step(&AdaGrad::torch().lr(0.5)?, 1, &mut params, &[4.0], &mut [&mut sum])?;
    /// assert_eq!((params, sum), ([0.5], [16.0]));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
    /// Optimization", 2011.
    ///
    /// **Where frameworks differ**: in where epsilon stands and in the initial sum, which together decide how large
    /// the first steps are; in what happens where every gradient so far was so small that its square is zero.
    pub struct AdaGrad = "adagrad" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// The learning rate is divided by `1 + (t-1)*lr_decay`.
        lr_decay: f64 => NonNegative,
        /// What the sum starts from.
        initial_accumulator_value: f64 => NonNegative,
        /// Added to the root or to the sum, as `eps_place` says.
        eps: f64 => NonNegative,
        /// Where `eps` stands.
        eps_place: RootEps,
        /// No step where the sum is 0, whatever the gradient.
        rest_at_zero_sum: bool,
    }
}

impl AdaGrad {
    /// As `torch.optim.Adagrad`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 1e-2,
            lr_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
            eps_place: RootEps::Outside,
            rest_at_zero_sum: false,
            common: Common::NONE,
        }
    }

    /// As `keras.optimizers.Adagrad`.
    #[must_use]
    pub const fn keras() -> Self {
        Self {
            lr: 1e-3,
            initial_accumulator_value: 0.1,
            eps: 1e-7,
            eps_place: RootEps::Inside,
            common: Common::decoupled(0.0),
            ..Self::torch()
        }
    }

    /// As `optax.adagrad`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { rest_at_zero_sum: true, common: Common::NONE, ..Self::keras() }
    }
}

impl Rule for AdaGrad {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[Slot::full("sum", Role::Sum).starting_as(Initial::Rule)] }
    }

    fn initial(&self, _slot: usize) -> f32 {
        self.initial_accumulator_value as f32
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let before = step.saturating_sub(1) as f64;
        let (eps, eps_root) = self.eps_place.split(self.eps);
        visitor.visit(Accumulate {
            lr: (self.lr / (1.0 + before * self.lr_decay)) as f32,
            eps: eps as f32,
            eps_root: eps_root as f32,
            rest_up_to: if self.rest_at_zero_sum { 0.0 } else { -1.0 },
        })
    }
}

#[derive(Clone, Copy)]
struct Accumulate {
    lr: f32,
    eps: f32,
    eps_root: f32,
    /// A sum that is not above this makes no step. No sum is negative, so -1 switches it off.
    rest_up_to: f32,
}

impl Kernel<1> for Accumulate {
    const L2_IN_LOOP: bool = true;

    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [sum]: [L; 1]) -> (Change<L>, [L; 1]) {
        let g = g.squarable();
        let sum = (sum + g * g).min(g.splat(f32::MAX));
        let change = g * self.lr / ((sum + self.eps_root).sqrt() + self.eps);
        let rests = sum.le(g.splat(self.rest_up_to));
        (Change::By(L::select(rests, g.splat(0.0), change)), [sum])
    }
}
