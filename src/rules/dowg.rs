use super::dog::{Along, Distance};
use crate::{
    numbers::math::sqrt,
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::KernelVisitor,
        rule::Rule,
        slots::{Initial, Role, Slot},
        sums::{Measures, Scope, Sum, scalar},
    },
    simd::factor::Factor,
};

rule_options! {
    /// DoWG: gradient descent at the rate "distance over weighted gradients", which needs no tuning.
    ///
    /// ```text
    /// max_sq_dist d = max(d, norm(p - x0)^2), and init_sq_distance, or else eps, at the first step
    /// weighted_sq_sum s = s + d*norm(g)^2
    /// p = p - lr * d/(sqrt(s) + eps) * g
    /// ```
    ///
    /// The norms go over all tensors that are stepped together, with this rule.
    ///
    /// **State**: `x0`, a copy of the parameters at first; the scalar `max_sq_dist` and the total `weighted_sq_sum`, zero
    /// at first and the same in each tensor.
    ///
    /// **Defaults**: [`optax`](DoWG::optax) lr 1, init_sq_distance 0, eps 1e-4.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses init_sq_distance and eps both 0.
    ///
    /// ```
    /// use gradstep::{DoWG, init_state, step};
    ///
    /// let rule = DoWG::optax().init_sq_distance(0.25)?.eps(0.0)?;
    /// let (mut params, mut x0, mut max_sq_dist, mut weighted_sq_sum) = ([3.0], [0.0], [0.0], [0.0; 2]);
    /// let state: &mut [&mut [f32]] = &mut [&mut x0, &mut max_sq_dist, &mut weighted_sq_sum];
    /// init_state(&rule, &params, state)?;
    /// step(&rule, 1, &mut params, &[100.0], state)?;
    /// assert_eq!(params, [2.5]); // the root of the first square distance
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Khaled, Mishchenko and Jin, "DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent Method",
    /// 2023.
    ///
    /// **Where frameworks differ**: only optax has it.
    pub struct DoWG = "dowg" {
        /// What the rate is multiplied with: 1, or a schedule.
        lr: f64 => NonNegative,
        /// The square of the first distance; 0 for `eps`.
        init_sq_distance: f64 => NonNegative,
        /// Added to the root of the weighted sum of squares.
        eps: f64 => NonNegative,
    }
    refused by DoWG::contradiction
}

impl DoWG {
    /// As `optax.contrib.dowg`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { lr: 1.0, init_sq_distance: 0.0, eps: 1e-4, common: Common::NONE }
    }

    fn contradiction(&self) -> Option<&'static str> {
        (self.first_sq_distance() == 0.0).then_some("init_sq_distance or eps must be above 0")
    }

    fn first_sq_distance(&self) -> f64 {
        if self.init_sq_distance > 0.0 { self.init_sq_distance } else { self.eps }
    }
}

impl Rule for DoWG {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("x0", Role::Fixed).starting_as(Initial::Param),
                Slot::scalar("max_sq_dist"),
                Slot::total("weighted_sq_sum"),
            ]
        }
    }

    fn with_measuring_kernel<V: KernelVisitor>(
        &self,
        _: u64,
        scalars: &[f64],
        visitor: V,
    ) -> Option<V::Output> {
        Some(visitor.visit(Distance { first: scalar(scalars, 1) == 0.0 }))
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, scalars: &[f64], visitor: V) -> V::Output {
        visitor.visit(Along {
            rate: Factor::of(self.lr * scalar(scalars, 0) / (sqrt(scalar(scalars, 1)) + self.eps)),
        })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for DoWG {
    fn sums(&self) -> &'static [Sum] {
        const { &[Sum::squares(1), Sum::squares(2)] }
    }

    fn scope(&self) -> Scope {
        Scope::Together
    }

    fn settle(&self, _: u64, sums: &[f64], scalars: &mut [f64]) {
        let ([square, gradient], [distance, sum]) = (sums, scalars) else { return };
        let now = if *sum == 0.0 { self.first_sq_distance() } else { *square };
        *distance = distance.max(now);
        *sum += *distance * gradient;
    }
}
