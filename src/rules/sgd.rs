use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::Slot,
    },
    simd::lane::Lane,
};

rule_options! {
    /// Stochastic gradient descent: a step against the gradient.
    ///
    /// ```text
    /// p = p - lr*g
    /// ```
    ///
    /// **State**: none.
    ///
    /// **Defaults**: [`torch`](Sgd::torch) lr 0.001; [`keras`](Sgd::keras) lr 0.01; [`optax`](Sgd::optax) has no
    /// default, and lr 0.001 here.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Sgd, step};
    ///
    /// let mut params = [1.0, 2.0];
    /// step(&Sgd::torch().lr(0.5)?, 1, &mut params, &[1.0, -1.0], &mut [])?;
    /// assert_eq!(params, [0.5, 2.5]);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Robbins and Monro, "A Stochastic Approximation Method", 1951.
    ///
    /// **Where frameworks differ**: Keras decouples `weight_decay`, which for this rule alone is the same algebra. With
    /// momentum they part: see [`Momentum`](crate::Momentum).
    pub struct Sgd = "sgd" {
        /// Learning rate.
        lr: f64 => NonNegative,
    }
}

impl Sgd {
    /// As `torch.optim.SGD` without momentum.
    #[must_use]
    pub const fn torch() -> Self {
        Self { lr: 1e-3, common: Common::NONE }
    }

    /// As `keras.optimizers.SGD` without momentum.
    #[must_use]
    pub const fn keras() -> Self {
        Self { lr: 1e-2, common: Common::decoupled(0.0) }
    }

    /// As `optax.sgd` without momentum.
    #[must_use]
    pub const fn optax() -> Self {
        Self::torch()
    }
}

impl Rule for Sgd {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _step: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Descend { lr: self.lr as f32 })
    }
}

#[derive(Clone, Copy)]
struct Descend {
    lr: f32,
}

impl Kernel<0> for Descend {
    const L2_IN_LOOP: bool = true;

    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, []: [L; 0]) -> (Change<L>, [L; 0]) {
        (Change::By(g * self.lr), [])
    }
}
