use crate::{
    numbers::math::sqrt,
    rule::{
        choices::choices,
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, Role, Slot},
        sums::{Measures, Scope, Sum, scalar},
    },
    simd::{factor::Factor, lane::Lane},
};

choices! {
    /// What DoG's `init_step` is.
    pub enum DoGInit {
        /// The first distance, in units of 1 + norm(x0).
        Heuristic = "heuristic",
        /// The first distance.
        Distance = "distance",
        /// The rate of the first step.
        LearningRate = "learning-rate",
    }
}

rule_options! {
    /// DoG: gradient descent at the rate "distance over gradients", which needs no tuning.
    ///
    /// ```text
    /// max_dist d = max(d, norm(p - x0)), and init_step*(1 + norm(x0)) at the first step
    /// grad_sq_sum s = s + norm(g)^2
    /// p = p - lr * d/sqrt(s + eps) * g
    ///
    /// init_step_form "distance":       d = init_step at the first step
    /// init_step_form "learning-rate":  p = p - lr * init_step * g at the first step, and d = 0
    /// ```
    ///
    /// The norms go over all tensors that are stepped together, with this rule; with `layerwise` over each tensor alone.
    ///
    /// **State**: `x0`, a copy of the parameters at first; the scalar `max_dist` and the total `grad_sq_sum`, zero at first and
    /// the same in each tensor unless `layerwise`.
    ///
    /// **Defaults**: [`optax`](DoG::optax) lr 1, init_step 1e-6 "heuristic", eps 1e-8.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{DoG, init_state, step};
    ///
    /// let rule = DoG::optax().init_step(0.25)?.eps(0.0)?;
    /// let (mut params, mut x0, mut max_dist, mut grad_sq_sum) = ([3.0], [0.0], [0.0], [0.0; 2]);
    /// let state: &mut [&mut [f32]] = &mut [&mut x0, &mut max_dist, &mut grad_sq_sum];
    /// init_state(&rule, &params, state)?;
    /// step(&rule, 1, &mut params, &[100.0], state)?;
    /// assert_eq!((params, x0, max_dist), ([2.0], [3.0], [1.0])); // 0.25 * (1 + 3)
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Ivgi, Hinder and Carmon, "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule", 2023.
    ///
    /// **Where frameworks differ**: only optax has it; `layerwise` is its `scale_by_distance_over_gradients`, the
    /// paper's L-DoG. The paper's model is the average of the path, which is the caller's to keep.
    pub struct DoG = "dog" {
        /// What the rate is multiplied with: 1, or a schedule.
        lr: f64 => NonNegative,
        /// How far the first step goes: what this is, `init_step_form` says.
        init_step: f64 => NonNegative,
        /// What `init_step` is.
        init_step_form: DoGInit,
        /// Added to the sum of squares.
        eps: f64 => NonNegative,
        /// A rate for each tensor instead of one for all.
        layerwise: bool,
    }
}

impl DoG {
    /// As `optax.contrib.dog`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 1.0,
            init_step: 1e-6,
            init_step_form: DoGInit::Heuristic,
            eps: 1e-8,
            layerwise: false,
            common: Common::NONE,
        }
    }

    fn first_distance(&self, norm: f64) -> f64 {
        match self.init_step_form {
            DoGInit::Heuristic => self.init_step * (1.0 + norm),
            DoGInit::Distance => self.init_step,
            DoGInit::LearningRate => 0.0,
        }
    }

    fn rate(&self, scalars: &[f64]) -> f64 {
        if scalar(scalars, 0) == 0.0 && self.init_step_form == DoGInit::LearningRate {
            self.lr * self.init_step
        } else {
            self.lr * scalar(scalars, 0) / sqrt(scalar(scalars, 1) + self.eps)
        }
    }
}

impl Rule for DoG {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("x0", Role::Fixed).starting_as(Initial::Param),
                Slot::scalar("max_dist"),
                Slot::total("grad_sq_sum"),
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
        visitor.visit(Along { rate: Factor::of(self.rate(scalars)) })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for DoG {
    fn sums(&self) -> &'static [Sum] {
        const { &[Sum::squares(1), Sum::squares(2)] }
    }

    fn scope(&self) -> Scope {
        if self.layerwise { Scope::Tensor } else { Scope::Together }
    }

    fn settle(&self, _: u64, sums: &[f64], scalars: &mut [f64]) {
        let ([square, gradient], [distance, sum]) = (sums, scalars) else { return };
        let norm = sqrt(*square);
        let now = if *sum == 0.0 { self.first_distance(norm) } else { norm };
        *distance = distance.max(now);
        *sum += gradient;
    }
}

/// Puts the distance from where training began and the gradient out; at first, where it began.
#[derive(Clone, Copy)]
pub(super) struct Distance {
    pub(super) first: bool,
}

impl Kernel<3> for Distance {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [x0, ..]: [L; 3]) -> (Change<L>, [L; 3]) {
        (Change::To(p), [x0, if self.first { x0 } else { p - x0 }, g])
    }
}

#[derive(Clone, Copy)]
pub(super) struct Along {
    pub(super) rate: Factor,
}

impl Kernel<1> for Along {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [x0]: [L; 1]) -> (Change<L>, [L; 1]) {
        (Change::By(self.rate.times(g)), [x0])
    }
}
