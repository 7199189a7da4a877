//! Everything that a training step does to a parameter, in one pass over memory: what there is to ask for.

use core::num::NonZeroU64;

use crate::{
    error::Error,
    numbers::math::powf,
    rule::{options::check_number, values::Domain},
    simd::factor::Factor,
};

/// What a training step does beside the rule's own arithmetic. Each part is optional, and costs nothing when it is absent.
///
/// Parts apply in this order, whatever the order in which they were asked for:
///
/// ```text
/// before  g = g1 + g2 + ...                    micro-batches, from 16-bit floats where they are given as such
///         g = g / loss_scale
///         check: not all of g finite           refuse the step, or skip the tensor
///         g = g - mean of its row              centralize
///         g = g between -c and c               clip_value
///         g = g * factor                       clip_tensor_norm, clip_global_norm or clip_adaptive
/// rule    maximize, L2 and L1, the rule, decay: the rule's own options
/// after   subnormal state = 0                  flush_subnormals
///         p is rounded to the storage's format 16-bit parameters
///         telemetry                            where a tensor has a slot for it
///         p = p * max/norm of its row          max_norm, where the norm is above max
///         p = p between low and high           bounds
///         average = average + (p - average)*w  where a tensor has an average
///         p = average, then max_norm, bounds   where the average takes the parameters' place
///         copy = p in 16 bits                  where a tensor has a copy
///         g = 0                                zero_grads
/// ```
///
/// What `bounds` and `max_norm` promise holds for the parameters as they are stored, in 16 bits too.
///
/// A number that a method takes ends in an `f32`. One that would become 0 or infinite there is refused.
///
/// Parameters, state and average are read and written once. The gradient is read twice where it has to be known before the
/// step (with a check, or a norm to clip by), and else once.
///
/// ```
/// use gradstep::{AdamW, NonFinite, Pass, Tensor, Workers};
///
/// let pass = Pass::new().loss_scale(1024.0)?.check(NonFinite::Refuse).clip_global_norm(1.0)?.zero_grads();
/// let (mut params, mut grads) = (vec![0.5; 1000], vec![3.0; 1000]);
/// let (mut exp_avg, mut exp_avg_sq) = (vec![0.0; 1000], vec![0.0; 1000]);
///
/// let state = [&mut exp_avg[..], &mut exp_avg_sq[..]];
/// let mut model = [Tensor::new(&mut params[..], &mut grads[..], state)?];
/// let report = Workers::rayon().step_pass(&pass, &AdamW::torch(), 1, &mut model)?;
/// assert_eq!(report.stepped, 1);
/// assert_eq!(grads, [0.0; 1000]);
///
/// grads[7] = f32::NAN;
/// let before = params.clone();
/// let state = [&mut exp_avg[..], &mut exp_avg_sq[..]];
/// let mut model = [Tensor::new(&mut params[..], &mut grads[..], state)?];
/// let report = Workers::rayon().step_pass(&pass, &AdamW::torch(), 2, &mut model)?;
/// assert!(report.refused);
/// assert_eq!((report.non_finite, model[0].non_finite()), (1, 1));
/// assert_eq!(params, before);
/// # Ok::<(), gradstep::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    pub(crate) loss_scale: f64,
    pub(crate) check: Option<NonFinite>,
    pub(crate) centralize: bool,
    pub(crate) clip_value: Option<f32>,
    pub(crate) clip: Clip,
    pub(crate) clip_eps: f64,
    pub(crate) flush_subnormals: bool,
    pub(crate) max_norm: Option<f64>,
    pub(crate) bounds: Option<(f32, f32)>,
    pub(crate) average: Option<Average>,
    pub(crate) zero_grads: ZeroGrads,
}

/// What becomes of a step that meets a NaN or an infinity in a gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// Nothing at all is changed, in no tensor: not the gradients either, even with [`Pass::zero_grads`]. A caller who adds
    /// the next gradients to them has to zero them first, or ask for [`Pass::zero_grads_always`]: an infinity that stays
    /// would have every later step refused.
    #[default]
    Refuse,
    /// The tensors that have one are left as they are, gradients included, and do not count in the global norm; the others
    /// are stepped.
    Skip,
    /// All are stepped regardless, and the report counts. With [`Pass::clip_global_norm`] one NaN reaches every parameter of
    /// every tensor, because the common norm is NaN then, and with it the factor for all; an infinity makes all other
    /// gradients 0. A pass without a check does the same.
    Step,
}

/// After which calls gradients are zeroed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ZeroGrads {
    Never,
    Stepped,
    Always,
}

/// By what norm gradients are clipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Clip {
    Nothing,
    TensorNorm(f64),
    GlobalNorm(f64),
    Adaptive { ratio: f64, eps: f64 },
}

impl Pass {
    /// Nothing beside the rule.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            loss_scale: 1.0,
            check: None,
            centralize: false,
            clip_value: None,
            clip: Clip::Nothing,
            clip_eps: 1e-6,
            flush_subnormals: false,
            max_norm: None,
            bounds: None,
            average: None,
            zero_grads: ZeroGrads::Never,
        }
    }

    /// Divides the gradient by this: the loss scale, times the number of micro-batches where their mean is meant. What is
    /// computed is `g * (1/loss_scale)`, with the factor rounded to the 24 bits of an `f32`, but whatever its size: every
    /// scale that a [`LossScaler`](crate::LossScaler) has is taken.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an argument outside of what its description says, here and below.
    pub fn loss_scale(self, loss_scale: f64) -> Result<Self, Error> {
        above_zero("loss_scale", loss_scale).and(above_zero("1/loss_scale", 1.0 / loss_scale))?;
        Ok(Self { loss_scale, ..self })
    }

    /// Looks for NaN and infinities in the gradients, after unscaling, before anything is changed. A finite gradient that
    /// becomes infinite when the mean of its row is taken off counts as well.
    #[must_use]
    pub fn check(self, policy: NonFinite) -> Self {
        Self { check: Some(policy), ..self }
    }

    /// Takes the mean of each row off the gradient, for tensors that have [rows](crate::Tensor::rows). A step of a list in which
    /// no tensor has any is refused.
    ///
    /// **Paper**: Yong et al., "Gradient Centralization: A New Optimization Technique for Deep Neural Networks", 2020.
    #[must_use]
    pub fn centralize(self) -> Self {
        Self { centralize: true, ..self }
    }

    /// Brings each element of the gradient between `-max` and `max`, rounded to `f32`; `max` is above 0. A NaN stays.
    pub fn clip_value(self, max: f64) -> Result<Self, Error> {
        Ok(Self { clip_value: Some(checked("clip_value", max, Domain::Positive)? as f32), ..self })
    }

    /// Scales each tensor's gradient to a norm of at most `max`, above 0: `g * min(1, max/(norm + clip_eps))`.
    pub fn clip_tensor_norm(self, max: f64) -> Result<Self, Error> {
        Ok(Self { clip: Clip::TensorNorm(above_zero("clip_tensor_norm", max)?), ..self })
    }

    /// Scales all gradients by one factor, so that their common norm is at most `max`, above 0: `g * min(1, max/(norm +
    /// clip_eps))`. Without a [check](Self::check) that refuses or skips, one NaN in any gradient makes all of them NaN.
    pub fn clip_global_norm(self, max: f64) -> Result<Self, Error> {
        Ok(Self { clip: Clip::GlobalNorm(above_zero("clip_global_norm", max)?), ..self })
    }

    /// Adaptive gradient clipping: scales the gradient of each [row](crate::Tensor::rows) to at most `ratio` of the norm of
    /// the row's parameters, which counts as `eps` at least; a tensor without rows is one row. Both are above 0; the
    /// paper has 0.01 and 0.001.
    ///
    /// **Paper**: Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization", 2021.
    pub fn clip_adaptive(self, ratio: f64, eps: f64) -> Result<Self, Error> {
        let clip = Clip::Adaptive {
            ratio: above_zero("clip_adaptive ratio", ratio)?,
            eps: above_zero("clip_adaptive eps", eps)?,
        };
        Ok(Self { clip, ..self })
    }

    /// Returns what is added to the norm that gradients are clipped by: 1e-6 as in PyTorch if this is not called, 0 in
    /// optax and Keras.
    pub fn clip_eps(self, eps: f64) -> Result<Self, Error> {
        Ok(Self { clip_eps: checked("clip_eps", eps, Domain::NonNegative)?, ..self })
    }

    /// Makes subnormal state 0. For gradients that stay 0 for long: moving averages of them become subnormal after some 800
    /// steps, and some processors are ten times slower at those. Changes what a framework would compute, if only below 1e-38.
    #[must_use]
    pub fn flush_subnormals(self) -> Self {
        Self { flush_subnormals: true, ..self }
    }

    /// Scales each row of the parameters whose norm is above `max`, above 0, so that it is at most `max`, for tensors that
    /// have [rows](crate::Tensor::rows). Scaled elements are rounded towards zero, to the format in which they are stored. A step
    /// of a list in which no tensor has rows is refused. A row with an infinity or a NaN stays as it is. [`bounds`](Self::bounds) come later, and may make a row longer if 0
    /// is not between them.
    pub fn max_norm(self, max: f64) -> Result<Self, Error> {
        Ok(Self { max_norm: Some(above_zero("max_norm", max)?), ..self })
    }

    /// Brings each parameter between `low` and `high`, which are not NaN and in this order, and have a finite number between
    /// them. A NaN stays. Where parameters, or [copies](crate::Tensor::copy_out) of them, have 16 bits, they come between the
    /// nearest numbers of their format inside; a tensor whose format has none there is refused.
    ///
    /// # Errors
    /// [`Error::Bounds`].
    pub fn bounds(self, low: f32, high: f32) -> Result<Self, Error> {
        if leave_room((low, high)) {
            Ok(Self { bounds: Some((low, high)), ..self })
        } else {
            Err(Error::Bounds { low, high })
        }
    }

    /// Returns how the [averages](crate::Tensor::average) of tensors that have one are kept. A step of a list in which no
    /// tensor has one is refused.
    #[must_use]
    pub fn average(self, average: Average) -> Self {
        Self { average: Some(average), ..self }
    }

    /// Returns whether a step with it is the rule's step and nothing else. What is added to a norm does not matter where
    /// none is taken.
    pub(super) fn asks_for_nothing(&self) -> bool {
        *self == Self { clip_eps: self.clip_eps, ..Self::new() }
    }

    pub(super) fn unscale(&self) -> Factor {
        Factor::of(1.0 / self.loss_scale)
    }

    pub(super) fn goes_by_rows(&self) -> bool {
        self.centralize || self.max_norm.is_some() || matches!(self.clip, Clip::Adaptive { .. })
    }

    /// Sets the gradients of all tensors that were stepped to 0 after the step. They must have been given as mutable.
    ///
    /// Those of a step that was [refused](NonFinite::Refuse), or of a tensor that was [skipped](NonFinite::Skip), stay as
    /// they are, so that they can be looked at. A caller who adds the next gradients to what is there wants
    /// [`zero_grads_always`](Self::zero_grads_always) instead: otherwise an infinity stays, and each later step is refused,
    /// while a [`LossScaler`](crate::LossScaler) falls to nothing.
    #[must_use]
    pub fn zero_grads(self) -> Self {
        Self { zero_grads: ZeroGrads::Stepped, ..self }
    }

    /// Sets all gradients to 0 after the call, those of a refused step and of skipped tensors too, as training loops with
    /// PyTorch's `GradScaler` do. They must have been given as mutable. An error leaves them as they are.
    ///
    /// ```
    /// use gradstep::{NonFinite, Pass, Tensor, Sgd, Workers};
    ///
    /// let pass = Pass::new().check(NonFinite::Refuse).zero_grads_always();
    /// let (mut params, mut grads) = ([1.0_f32], [f32::INFINITY]);
    /// let mut model = [Tensor::new(&mut params[..], &mut grads[..], [])?];
    /// let report = Workers::serial().step_pass(&pass, &Sgd::torch(), 1, &mut model)?;
    /// assert!(report.refused);
    /// assert_eq!((params, grads), ([1.0], [0.0]));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    #[must_use]
    pub fn zero_grads_always(self) -> Self {
        Self { zero_grads: ZeroGrads::Always, ..self }
    }
}

impl Default for Pass {
    fn default() -> Self {
        Self::new()
    }
}

/// A running average of the parameters, kept beside them: `average = average + (p - average)*weight`.
///
/// The first step that goes into it copies the parameters. How many steps are in it is counted beside the average
/// ([`Tensor::average`](crate::Tensor::average)), and belongs in a checkpoint with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    kind: Kind,
    first: u64,
    every: NonZeroU64,
    overwrite_every: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Exponential { decay: f64 },
    WarmingUp { decay: f64 },
    Power { exponent: f64 },
    Mean,
}

impl Average {
    /// An exponential moving average, `weight = 1 - decay`; `decay` is from 0 to below 1. PyTorch's `get_ema_avg_fn` has
    /// 0.999, Keras 0.99.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn exponential(decay: f64) -> Result<Self, Error> {
        check_number("pass", "average decay", decay, Domain::BelowOne)?;
        Ok(Self { kind: Kind::Exponential { decay }, ..Self::mean() })
    }

    /// An exponential moving average whose decay is short at first: `weight = 1 - min(decay, (1 + t)/(10 + t))`, where `t` is
    /// the number of steps that were averaged before; `decay` is from 0 to below 1. As TensorFlow's
    /// `ExponentialMovingAverage` with `num_updates`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn warming_up(decay: f64) -> Result<Self, Error> {
        check_number("pass", "average decay", decay, Domain::BelowOne)?;
        Ok(Self { kind: Kind::WarmingUp { decay }, ..Self::mean() })
    }

    /// A power-law average, in which the parameters of the `count`-th step weigh about `count^exponent`: `weight = 1 - (1 -
    /// 1/count)^(exponent + 1)`; `exponent` is 0 or above, and the mean at 0.
    ///
    /// **Paper**: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", 2024.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn power(exponent: f64) -> Result<Self, Error> {
        let exponent = checked("average exponent", exponent, Domain::NonNegative)?;
        Ok(Self { kind: Kind::Power { exponent }, ..Self::mean() })
    }

    /// The mean of all that were averaged, `weight = 1/count`: Polyak's, and that of PyTorch's `AveragedModel`.
    #[must_use]
    pub const fn mean() -> Self {
        Self { kind: Kind::Mean, first: 1, every: NonZeroU64::MIN, overwrite_every: None }
    }

    /// The same from another step on: until then the average is a copy of the parameters.
    #[must_use]
    pub const fn from_step(self, first: u64) -> Self {
        Self { first: if first == 0 { 1 } else { first }, ..self }
    }

    /// The same at each `every`-th step alone, counted from the first one; for stochastic weight averaging (SWA), the
    /// steps of an epoch. 0 counts as 1.
    #[must_use]
    pub const fn every(self, every: u64) -> Self {
        match NonZeroU64::new(every) {
            Some(every) => Self { every, ..self },
            None => Self { every: NonZeroU64::MIN, ..self },
        }
    }

    /// Puts the average in the parameters' place after each `every`-th step, as Keras' `ema_overwrite_frequency` does. 0 is
    /// never.
    #[must_use]
    pub const fn overwrite_every(self, every: u64) -> Self {
        Self { overwrite_every: if every == 0 { None } else { Some(every) }, ..self }
    }

    /// Returns what the newest parameters weigh at a step, beside so many that are in the average already; `None` where
    /// the average stays as it is. Before the first that counts it is a copy.
    pub(super) fn weight(self, step: u64, averaged: u64) -> Option<f32> {
        let before = averaged as f64;
        let weight = match self.kind {
            _ if averaged == 0 || step < self.first => return Some(1.0),
            Kind::Exponential { decay } => 1.0 - decay,
            Kind::WarmingUp { decay } => 1.0 - decay.min((1.0 + before) / (10.0 + before)),
            Kind::Power { exponent } => power_weight(exponent, before + 1.0),
            Kind::Mean => 1.0 / (before + 1.0),
        };
        self.takes_in(step).then_some(weight as f32)
    }

    /// Returns whether the parameters of this step are counted in the average.
    pub(super) fn takes_in(self, step: u64) -> bool {
        step.checked_sub(self.first).is_some_and(|since| since % self.every == 0)
    }

    pub(crate) fn overwrites(self, step: u64) -> bool {
        self.overwrite_every.is_some_and(|every| step.is_multiple_of(every))
    }
}

/// `1 - (1 - 1/count)^(exponent + 1)`, for a `count` of 2 or more.
fn power_weight(exponent: f64, count: f64) -> f64 {
    let first = (exponent + 1.0) / count;
    if first < 1e-4 {
        // The difference would cancel; the next term of the series is below 1e-8 of this.
        first * (1.0 - exponent / (2.0 * count))
    } else {
        1.0 - powf(1.0 - 1.0 / count, exponent + 1.0)
    }
}

/// Returns whether there is a finite number between bounds.
pub(crate) fn leave_room((low, high): (f32, f32)) -> bool {
    low <= high && low < f32::INFINITY && high > f32::NEG_INFINITY
}

fn checked(option: &'static str, value: f64, domain: Domain) -> Result<f64, Error> {
    check_single("pass", option, value, domain)
}

/// For what is computed in `f64`, where no number is too large. One that is 0 in `f32` would make 0 of every parameter or
/// gradient.
fn above_zero(option: &'static str, value: f64) -> Result<f64, Error> {
    check_number("pass", option, value, Domain::Positive)?;
    check_single("pass", option, value.min(f32::MAX.into()), Domain::Positive)?;
    Ok(value)
}

/// Refuses a number outside the domain, and one that is rounded out of it in `f32`.
pub(crate) fn check_single(
    owner: &'static str,
    option: &'static str,
    value: f64,
    domain: Domain,
) -> Result<f64, Error> {
    check_number(owner, option, value, domain)?;
    if domain.contains(f64::from(value as f32)) {
        Ok(value)
    } else {
        Err(Error::OutOfRange { rule: owner, option, value, domain })
    }
}
