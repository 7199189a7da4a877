use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{MOMENTUM_BUFFER, Slot},
        sums::{Measures, Sum, scalar},
    },
    rules::parts::{
        trust_ratio::trust_ratio,
        velocity::{Coefficients, Velocity},
    },
    simd::{factor::Factor, lane::Lane},
};

rule_options! {
    /// LARS: momentum whose learning rate is scaled, tensor by tensor, to the size of the parameters.
    ///
    /// ```text
    /// trust_ratio = trust_coefficient*norm(p)/(norm(g) + eps), and 1 where either norm is 0
    /// momentum_buffer v = momentum*v - lr*trust_ratio*g
    /// p = p + v, with nesterov p = p + (momentum*v - lr*trust_ratio*g)
    /// ```
    ///
    /// The norms are those of the whole tensor; `g` has the coupled weight decay in it.
    ///
    /// **State**: `momentum_buffer`, and the scalar `trust_ratio`, which the last step found; zero at first.
    ///
    /// **Defaults**: [`optax`](Lars::optax) lr 0.1 (optax has no default), momentum 0.9, trust_coefficient 0.001, eps 0.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Lars, step};
    ///
    /// let rule = Lars::optax().lr(1.0)?.trust_coefficient(0.5)?;
    /// let (mut params, mut momentum_buffer, mut trust_ratio) = ([3.0, 4.0], [0.0; 2], [0.0]);
    /// step(&rule, 1, &mut params, &[10.0, 0.0], &mut [&mut momentum_buffer, &mut trust_ratio])?;
    /// assert_eq!((params, trust_ratio), ([0.5, 4.0], [0.25])); // 0.5 * 5/10
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017.
    ///
    /// **Where frameworks differ**: the paper adds `weight_decay*norm(p)` to the gradient's norm instead of taking the norm of
    /// the decayed gradient; biases and norms' parameters are usually left out, which is a group of its own with another rule.
    pub struct Lars = "lars" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of the velocity after a step.
        momentum: f64 => BelowOne,
        /// The part of the parameters' norm that a step may have.
        trust_coefficient: f64 => NonNegative,
        /// Added to the gradient's norm.
        eps: f64 => NonNegative,
        /// Nesterov's look-ahead.
        nesterov: bool,
    }
}

impl Lars {
    /// As `optax.lars`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 0.1,
            momentum: 0.9,
            trust_coefficient: 1e-3,
            eps: 0.0,
            nesterov: false,
            common: Common::NONE,
        }
    }
}

impl Rule for Lars {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[MOMENTUM_BUFFER, Slot::scalar("trust_ratio")] }
    }

    fn with_measuring_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> Option<V::Output> {
        Some(visitor.visit(Both))
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, scalars: &[f64], visitor: V) -> V::Output {
        let rate = Factor::of(self.lr * scalar(scalars, 0));
        let velocity = Velocity::LrInsideNegative;
        visitor.visit(Heavy {
            shift: rate.shift,
            coefficients: velocity.coefficients(rate.rest.into(), self.momentum, self.nesterov),
        })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for Lars {
    fn sums(&self) -> &'static [Sum] {
        const { &[Sum::squares(1), Sum::squares(2)] }
    }

    fn settle(&self, _: u64, sums: &[f64], scalars: &mut [f64]) {
        if let ([params, grads], [ratio]) = (sums, scalars) {
            *ratio = trust_ratio(*params, *grads, self.trust_coefficient, self.eps);
        }
    }
}

/// Puts parameter and gradient out.
#[derive(Clone, Copy)]
struct Both;

impl Kernel<3> for Both {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [v, ..]: [L; 3]) -> (Change<L>, [L; 3]) {
        (Change::To(p), [v, p, g])
    }
}

#[derive(Clone, Copy)]
struct Heavy {
    /// A part of the learning rate, where one `f32` cannot hold it.
    shift: f32,
    coefficients: Coefficients,
}

impl Kernel<1> for Heavy {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [v]: [L; 1]) -> (Change<L>, [L; 1]) {
        let (change, v) = self.coefficients.follow(g * self.shift, v);
        (Change::By(change), [v])
    }
}
