use crate::{
    error::Error,
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, Role, Slot},
        sums::Measures,
    },
    rules::parts::schedule_free::{Path, Weights, to_eval, to_train},
    simd::lane::Lane,
};

rule_options! {
    /// Schedule-free SGD: gradient descent that needs no decay of its learning rate, because the model is an average of its
    /// path.
    ///
    /// ```text
    /// lr_t = lr*min(1, t/warmup_steps)
    /// w = t^r * max(lr_1, ..., lr_t)^weight_lr_power;  c = w/weight_sum, with w in the sum
    /// p = (1-c)*p + c*z - lr_t*(1 - momentum*(1-c))*g
    /// z = z - lr_t*g
    /// ```
    ///
    /// Parameters are the point at which gradients are to be taken. The model to be used is the average that
    /// [`eval_params`](ScheduleFreeSgd::eval_params) makes of them; [`train_params`](ScheduleFreeSgd::train_params) leads back.
    ///
    /// **State**: `z`, a copy of the parameters at first; the total `weight_sum` and the scalar `lr_max`; zero
    /// at first.
    ///
    /// **Defaults**: lr 1, momentum 0.9, r 0, weight_lr_power 2, no warm-up: [`paper`](ScheduleFreeSgd::paper), the authors' code,
    /// and [`optax`](ScheduleFreeSgd::optax) alike.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{ScheduleFreeSgd, init_state, step};
    ///
    /// let rule = ScheduleFreeSgd::paper().lr(0.5)?.momentum(0.5)?;
    /// let (mut params, mut z, mut weight_sum, mut lr_max) = ([1.0], [0.0], [0.0; 2], [0.0]);
    /// let state: &mut [&mut [f32]] = &mut [&mut z, &mut weight_sum, &mut lr_max];
    /// init_state(&rule, &params, state)?;
    /// for t in 1..=2 {
    ///     step(&rule, t, &mut params, &[1.0], state)?;
    /// }
    /// assert_eq!((params, z), ([0.125], [0.0]));
    /// rule.eval_params(&mut params, &z)?;
    /// assert_eq!(params, [0.25]); // the mean of 0.5 and 0
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Defazio et al., "The Road Less Scheduled", 2024.
    ///
    /// **Where frameworks differ**: optax has no `r`, and takes its warm-up from a schedule.
    pub struct ScheduleFreeSgd = "schedulefree_sgd" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// The average's part in the parameters of training.
        momentum: f64 => BelowOne,
        /// Over how many steps `lr` grows from 0; 0 for none.
        warmup_steps: f64 => NonNegative,
        /// The power of the step's number in the weights of the average.
        r: f64 => UpToFour,
        /// The power of the largest learning rate in the weights of the average.
        weight_lr_power: f64 => UpToFour,
    }
}

impl ScheduleFreeSgd {
    /// As the authors' code.
    #[must_use]
    pub const fn paper() -> Self {
        Self { lr: 1.0, momentum: 0.9, warmup_steps: 0.0, r: 0.0, weight_lr_power: 2.0, common: Common::NONE }
    }

    /// As `optax.contrib.schedule_free_sgd`.
    #[must_use]
    pub const fn optax() -> Self {
        Self::paper()
    }

    /// Turns the parameters of training into those of the model, `(p - (1-momentum)*z)/momentum`, in place.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) where `z` is not as long; [`Error::Conflict`](crate::Error::Conflict) where
    /// `momentum` is 0: then the parameters are `z`, and the model is not among what is kept.
    pub fn eval_params(&self, params: &mut [f32], z: &[f32]) -> Result<(), Error> {
        to_eval(Self::NAME, self.momentum, params, z)
    }

    /// Turns the parameters of the model into those of training, `momentum*p + (1-momentum)*z`, in place; but for a rounding, which a
    /// copy kept from before avoids.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) where `z` is not as long.
    pub fn train_params(&self, params: &mut [f32], z: &[f32]) -> Result<(), Error> {
        to_train(self.momentum, params, z)
    }

    fn weights(&self) -> Weights {
        Weights { lr: self.lr, warmup_steps: self.warmup_steps, r: self.r, lr_power: self.weight_lr_power }
    }
}

impl Rule for ScheduleFreeSgd {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("z", Role::Point).starting_as(Initial::Param),
                Slot::total("weight_sum"),
                Slot::scalar("lr_max"),
            ]
        }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> V::Output {
        visitor.visit(Averaged { path: self.weights().path(step, scalars, self.momentum) })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for ScheduleFreeSgd {
    fn settle(&self, step: u64, _: &[f64], scalars: &mut [f64]) {
        self.weights().settle(step, scalars);
    }
}

#[derive(Clone, Copy)]
struct Averaged {
    path: Path,
}

impl Kernel<1> for Averaged {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [z]: [L; 1]) -> (Change<L>, [L; 1]) {
        let (change, z) = self.path.follow(p, g, z);
        (Change::By(change), [z])
    }
}
