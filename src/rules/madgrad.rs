use crate::{
    numbers::math::sqrt,
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, Role, Slot},
        values::LARGEST,
    },
    simd::lane::Lane,
};

rule_options! {
    /// MADGRAD: dual averaging from where training began, divided by the cube root of the sum of squares, with momentum.
    ///
    /// ```text
    /// lambda = (lr + eps)*sqrt(t)
    /// grad_sum_sq v = v + lambda*g^2
    /// s = s + lambda*g
    /// z = x0 - s / (cbrt(v) + eps)
    /// p = momentum*p + (1-momentum)*z
    /// ```
    ///
    /// **State**: `grad_sum_sq` and `s`, zero at first; `x0`, a copy of the parameter.
    ///
    /// **Defaults**: lr 0.01 (optax has none), momentum 0.9, eps 1e-6: [`paper`](Madgrad::paper), the authors' code, and
    /// [`optax`](Madgrad::optax) alike.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses lr and eps both 0. With eps 0 a parameter
    /// that has never had a gradient becomes NaN, 0/0.
    ///
    /// ```
    /// use gradstep::{Madgrad, init_state, step};
    ///
    /// let rule = Madgrad::paper().lr(1.0)?.eps(0.0)?.momentum(0.0)?;
    /// let (mut params, mut v, mut s, mut x0) = ([1.0], [0.0], [0.0], [0.0]);
    /// init_state(&rule, &params, &mut [&mut v, &mut s, &mut x0])?;
    /// step(&rule, 1, &mut params, &[8.0], &mut [&mut v, &mut s, &mut x0])?;
    /// assert_eq!((params, v, s, x0), ([-1.0], [64.0], [8.0], [1.0])); // 1 - 8/cbrt(64)
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Defazio and Jelassi, "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient Method
    /// for Stochastic Optimization", 2021.
    ///
    /// **Where frameworks differ**: nowhere. Both add `eps` to `lr` as well.
    pub struct Madgrad = "madgrad" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of the parameter after a step.
        momentum: f64 => BelowOne,
        /// Added to the cube root, and to `lr`.
        eps: f64 => NonNegative,
    }
    refused by Madgrad::contradiction
}

impl Madgrad {
    /// As the authors' code.
    #[must_use]
    pub const fn paper() -> Self {
        Self { lr: 1e-2, momentum: 0.9, eps: 1e-6, common: Common::NONE }
    }

    /// As `optax.contrib.madgrad`.
    #[must_use]
    pub const fn optax() -> Self {
        Self::paper()
    }

    fn contradiction(&self) -> Option<&'static str> {
        if self.lr == 0.0 && self.eps == 0.0 {
            Some("with lr and eps at 0 every step is 0/0")
        } else if self.eps * self.common.weight_decay > LARGEST {
            Some("eps*weight_decay is above 1e9, and eps is added to lr")
        } else {
            None
        }
    }
}

impl Rule for Madgrad {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("grad_sum_sq", Role::Sum),
                Slot::full("s", Role::Sum),
                Slot::full("x0", Role::Fixed).starting_as(Initial::Param),
            ]
        }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Dual {
            lambda: ((self.lr + self.eps) * sqrt(step as f64)) as f32,
            eps: self.eps as f32,
            rest: (1.0 - self.momentum) as f32,
        })
    }
}

#[derive(Clone, Copy)]
struct Dual {
    lambda: f32,
    eps: f32,
    rest: f32,
}

impl Kernel<3> for Dual {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [v, s, x0]: [L; 3]) -> (Change<L>, [L; 3]) {
        let g = g.squarable();
        let pull = g * self.lambda;
        let (v, s) = ((v + pull * g).min(g.splat(f32::MAX)), s + pull);
        let z = x0 - s / (v.cbrt() + self.eps);
        (Change::By((p - z) * self.rest), [v, s, x0])
    }
}
