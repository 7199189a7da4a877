use crate::{
    error::Error,
    rule::{
        common::{Common, Decay},
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG_SQ, Initial, Role, Slot},
        sums::Measures,
    },
    rules::parts::{
        moments::{AdamEps, Root, correction},
        schedule_free::{Path, Weights, to_eval, to_train},
    },
    simd::lane::Lane,
};

rule_options! {
    /// Schedule-free AdamW: Adam's denominator under schedule-free SGD, in the place of its first average.
    ///
    /// ```text
    /// lr_t = lr*min(1, t/warmup_steps)
    /// w = t^r * max(lr_1, ..., lr_t)^weight_lr_power;  c = w/weight_sum, with w in the sum
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// u = g/(sqrt(v/(1-beta2^t)) + eps) + weight_decay*p
    /// p = (1-c)*p + c*z - lr_t*(1 - beta1*(1-c))*u
    /// z = z - lr_t*u
    /// ```
    ///
    /// `weight_decay*p` is a part of `u` with the decay "update" alone.
    ///
    /// Parameters are the point at which gradients are to be taken. The model to be used is the average that
    /// [`eval_params`](ScheduleFreeAdamW::eval_params) makes of them; [`train_params`](ScheduleFreeAdamW::train_params) leads back.
    ///
    /// **State**: `z`, a copy of the parameters at first; `exp_avg_sq`; the total `weight_sum` and the
    /// scalar `lr_max`; zero at first.
    ///
    /// **Defaults**: lr 0.0025, betas 0.9 and 0.999, eps 1e-8, r 0, no warm-up; weight_lr_power 2 in
    /// [`paper`](ScheduleFreeAdamW::paper), the authors' code, and in [`optax`](ScheduleFreeAdamW::optax), 0 in
    /// [`keras`](ScheduleFreeAdamW::keras). `weight_decay` does in each what the framework's does: the decay is "update" in the
    /// first two, and decoupled in Keras.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{ScheduleFreeAdamW, init_state, step};
    ///
    /// let (mut params, mut z, mut v) = ([1.0], [0.0], [0.0]);
    /// let (mut weight_sum, mut lr_max) = ([0.0; 2], [0.0]);
    /// let rule = ScheduleFreeAdamW::paper();
    /// let state: &mut [&mut [f32]] = &mut [&mut z, &mut v, &mut weight_sum, &mut lr_max];
    /// init_state(&rule, &params, state)?;
    /// step(&rule, 1, &mut params, &[9.0], state)?;
    /// assert!((params[0] - 0.9975).abs() < 1e-6);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Defazio et al., "The Road Less Scheduled", 2024.
    ///
    /// **Where frameworks differ**: optax and Keras have no `r`, and optax takes its warm-up from a schedule. Keras
    /// weighs all steps alike, those of the warm-up too.
    pub struct ScheduleFreeAdamW = "schedulefree_adamw" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// The average's part in the parameters of training.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Over how many steps `lr` grows from 0; 0 for none.
        warmup_steps: f64 => NonNegative,
        /// The power of the step's number in the weights of the average.
        r: f64 => UpToFour,
        /// The power of the largest learning rate in the weights of the average.
        weight_lr_power: f64 => UpToFour,
    }
    within update: Decay
}

impl ScheduleFreeAdamW {
    /// As the authors' code.
    #[must_use]
    pub const fn paper() -> Self {
        Self {
            lr: 2.5e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            warmup_steps: 0.0,
            r: 0.0,
            weight_lr_power: 2.0,
            common: Common::decay(Decay::Update, 0.0),
        }
    }

    /// As `optax.contrib.schedule_free_adamw`.
    #[must_use]
    pub const fn optax() -> Self {
        Self::paper()
    }

    /// As `keras.optimizers.ScheduleFreeAdamW`.
    #[must_use]
    pub const fn keras() -> Self {
        Self { weight_lr_power: 0.0, common: Common::decoupled(0.0), ..Self::paper() }
    }

    /// Turns the parameters of training into those of the model, `(p - (1-beta1)*z)/beta1`, in place.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) where `z` is not as long; [`Error::Conflict`](crate::Error::Conflict) where
    /// `beta1` is 0: then the parameters are `z`, and the model is not among what is kept.
    pub fn eval_params(&self, params: &mut [f32], z: &[f32]) -> Result<(), Error> {
        to_eval(Self::NAME, self.beta1, params, z)
    }

    /// Turns the parameters of the model into those of training, `beta1*p + (1-beta1)*z`, in place; but for a rounding, which a
    /// copy kept from before avoids.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) where `z` is not as long.
    pub fn train_params(&self, params: &mut [f32], z: &[f32]) -> Result<(), Error> {
        to_train(self.beta1, params, z)
    }

    fn weights(&self) -> Weights {
        Weights { lr: self.lr, warmup_steps: self.warmup_steps, r: self.r, lr_power: self.weight_lr_power }
    }
}

impl Rule for ScheduleFreeAdamW {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("z", Role::Point).starting_as(Initial::Param),
                EXP_AVG_SQ,
                Slot::total("weight_sum"),
                Slot::scalar("lr_max"),
            ]
        }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> V::Output {
        let root = Root::new(self.eps, AdamEps::AfterCorrection, 0.0, correction(self.beta2, step));
        visitor.visit(Divided {
            rest2: (1.0 - self.beta2) as f32,
            scale: root.scale as f32,
            root,
            decay: self.common.update_decay() as f32,
            path: self.weights().path(step, scalars, self.beta1),
        })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for ScheduleFreeAdamW {
    fn settle(&self, step: u64, _: &[f64], scalars: &mut [f64]) {
        self.weights().settle(step, scalars);
    }
}

#[derive(Clone, Copy)]
struct Divided {
    rest2: f32,
    scale: f32,
    root: Root,
    decay: f32,
    path: Path,
}

impl Kernel<2> for Divided {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [z, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let v = v.lerp(g * g, self.rest2);
        let u = g * self.scale / self.root.of(v) + p * self.decay;
        let (change, z) = self.path.follow(p, u, z);
        (Change::By(change), [z, v])
    }
}
