use crate::{
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
    /// Adadelta: the step is the gradient times the ratio of the typical step to the typical gradient.
    ///
    /// ```text
    /// square_avg = rho*square_avg + (1-rho)*g^2
    /// delta      = sqrt((acc_delta + eps) / (square_avg + eps)) * g
    /// acc_delta  = rho*acc_delta + (1-rho)*delta^2
    /// p          = p - lr*delta
    /// ```
    ///
    /// **State**: `square_avg` and `acc_delta`, both zero at first.
    ///
    /// **Defaults**: [`torch`](Adadelta::torch) lr 1, rho 0.9, eps 1e-6; [`keras`](Adadelta::keras) lr 0.001, rho
    /// 0.95, eps 1e-7; [`optax`](Adadelta::optax) rho 0.9, eps 1e-6 (its lr is optional: 1 here).
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Adadelta, step};
    ///
    /// let (mut params, mut square_avg, mut acc_delta) = ([1.0], [0.0], [0.0]);
    /// step(&Adadelta::torch(), 1, &mut params, &[1.0], &mut [&mut square_avg, &mut acc_delta])?;
    /// assert!((1.0 - params[0] - 0.00316).abs() < 1e-5); // sqrt(1e-6 / 0.1)
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    ///
    /// **Where frameworks differ**: in the defaults alone. All of them add epsilon inside both roots, and the two
    /// roots are taken as one here.
    pub struct Adadelta = "adadelta" {
        /// Learning rate: a factor on the rule's own step, 1 in the paper.
        lr: f64 => NonNegative,
        /// What is left of the averages after a step.
        rho: f64 => BelowOne,
        /// Added inside both roots.
        eps: f64 => NonNegative,
    }
}

impl Adadelta {
    /// As `torch.optim.Adadelta`.
    #[must_use]
    pub const fn torch() -> Self {
        Self { lr: 1.0, rho: 0.9, eps: 1e-6, common: Common::NONE }
    }

    /// As `keras.optimizers.Adadelta`.
    #[must_use]
    pub const fn keras() -> Self {
        Self { lr: 1e-3, rho: 0.95, eps: 1e-7, common: Common::decoupled(0.0) }
    }

    /// As `optax.adadelta`.
    #[must_use]
    pub const fn optax() -> Self {
        Self::torch()
    }
}

impl Rule for Adadelta {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[Slot::full("square_avg", Role::Square), Slot::full("acc_delta", Role::Square)] }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _step: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Ratio { lr: self.lr as f32, rest: (1.0 - self.rho) as f32, eps: self.eps as f32 })
    }
}

#[derive(Clone, Copy)]
struct Ratio {
    lr: f32,
    rest: f32,
    eps: f32,
}

impl Kernel<2> for Ratio {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [square_avg, acc_delta]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let square_avg = square_avg.lerp(g * g, self.rest);
        let delta = ((acc_delta + self.eps) / (square_avg + self.eps)).sqrt() * g;
        let acc_delta = acc_delta.lerp(delta * delta, self.rest);
        (Change::By(delta * self.lr), [square_avg, acc_delta])
    }
}
