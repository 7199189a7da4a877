//! Everything that a training step does to a parameter, in one pass over memory: what there is to ask for.

mod floats;
mod gradient;
mod run;
#[cfg(feature = "std")]
mod share;
mod telemetry;
mod tensor;
mod tile;

use core::num::NonZeroU64;

use crate::{
    Error,
    options::{Domain, check_number},
};

pub use {
    floats::{Floats, FloatsMut, Grads},
    run::PassReport,
    telemetry::{Telemetry, TelemetrySlot},
    tensor::{GradSums, PassTensor},
};
#[cfg(feature = "alloc")]
pub(crate) use {run::check_tensor, tensor::Outcome};

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
///         copy = p in 16 bits                  where a tensor has a copy
///         g = 0                                zero_grads
/// ```
///
/// Parameters, state and average are read and written once. The gradient is read twice where it has to be known before the
/// step (with a check, or a norm to clip by), and else once.
///
/// ```
/// use gradstep::{AdamW, NonFinite, Pass, PassTensor, Workers};
///
/// let pass = Pass::new().loss_scale(1024.0)?.check(NonFinite::Refuse).clip_global_norm(1.0)?.zero_grads();
/// let (mut params, mut grads) = (vec![0.5; 1000], vec![3.0; 1000]);
/// let (mut exp_avg, mut exp_avg_sq) = (vec![0.0; 1000], vec![0.0; 1000]);
///
/// let state = [&mut exp_avg[..], &mut exp_avg_sq[..]];
/// let mut model = [PassTensor::new(&mut params[..], &mut grads[..], state)?];
/// let report = Workers::rayon().step_pass(&pass, &AdamW::torch(), 1, &mut model)?;
/// assert_eq!(report.stepped, 1);
/// assert_eq!(grads, [0.0; 1000]);
///
/// grads[7] = f32::NAN;
/// let before = params.clone();
/// let state = [&mut exp_avg[..], &mut exp_avg_sq[..]];
/// let mut model = [PassTensor::new(&mut params[..], &mut grads[..], state)?];
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
    pub(crate) zero_grads: bool,
}

/// What becomes of a step that meets a NaN or an infinity in a gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// Nothing at all is changed, in no tensor.
    #[default]
    Refuse,
    /// The tensors that have one are left as they are, and do not count in the global norm; the others are stepped.
    Skip,
    /// All are stepped regardless, and the report counts.
    Step,
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
            zero_grads: false,
        }
    }

    /// Divides the gradient by this: the loss scale, times the number of micro-batches where their mean is meant. What is
    /// computed is `g * (1/loss_scale)`, with the factor rounded to `f32`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an argument outside of what its description says, here and below.
    pub fn loss_scale(self, loss_scale: f64) -> Result<Self, Error> {
        let unscale = f64::from((1.0 / loss_scale) as f32);
        // What the gradient is multiplied with must be a number too.
        checked("loss_scale", loss_scale, Domain::Positive).and(positive("1/loss_scale", unscale))?;
        Ok(Self { loss_scale, ..self })
    }

    /// Looks for NaN and infinities in the gradients, after unscaling, before anything is changed.
    #[must_use]
    pub fn check(self, policy: NonFinite) -> Self {
        Self { check: Some(policy), ..self }
    }

    /// Takes the mean of each row off the gradient, for tensors that have [rows](PassTensor::rows).
    ///
    /// **Paper**: Yong et al., "Gradient Centralization: A New Optimization Technique for Deep Neural Networks", 2020.
    #[must_use]
    pub fn centralize(self) -> Self {
        Self { centralize: true, ..self }
    }

    /// Brings each element of the gradient between `-max` and `max`; `max` is above 0. A NaN stays.
    pub fn clip_value(self, max: f64) -> Result<Self, Error> {
        Ok(Self { clip_value: Some(positive("clip_value", max)? as f32), ..self })
    }

    /// Scales each tensor's gradient to a norm of at most `max`, above 0: `g * min(1, max/(norm + clip_eps))`.
    pub fn clip_tensor_norm(self, max: f64) -> Result<Self, Error> {
        Ok(Self { clip: Clip::TensorNorm(positive("clip_tensor_norm", max)?), ..self })
    }

    /// Scales all gradients by one factor, so that their common norm is at most `max`, above 0: `g * min(1, max/(norm +
    /// clip_eps))`.
    pub fn clip_global_norm(self, max: f64) -> Result<Self, Error> {
        Ok(Self { clip: Clip::GlobalNorm(positive("clip_global_norm", max)?), ..self })
    }

    /// Adaptive gradient clipping: scales the gradient of each [row](PassTensor::rows) to at most `ratio` of the norm of
    /// the row's parameters, which counts as `eps` at least; a tensor without rows is one row. Both are above 0; the
    /// paper has 0.01 and 0.001.
    ///
    /// **Paper**: Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization", 2021.
    pub fn clip_adaptive(self, ratio: f64, eps: f64) -> Result<Self, Error> {
        let clip = Clip::Adaptive {
            ratio: positive("clip_adaptive ratio", ratio)?,
            eps: positive("clip_adaptive eps", eps)?,
        };
        Ok(Self { clip, ..self })
    }

    /// What is added to the norm that gradients are clipped by: 1e-6 as in PyTorch if this is not called, 0 in optax and
    /// Keras.
    pub fn clip_eps(self, eps: f64) -> Result<Self, Error> {
        Ok(Self { clip_eps: checked("clip_eps", eps, Domain::NonNegative)?, ..self })
    }

    /// Makes subnormal state 0. For gradients that stay 0 for long: moving averages of them become subnormal after some 800
    /// steps, and some processors are ten times slower at those. Changes what a framework would compute, if only below 1e-38.
    #[must_use]
    pub fn flush_subnormals(self) -> Self {
        Self { flush_subnormals: true, ..self }
    }

    /// Scales each row of the parameters whose norm is above `max`, above 0, to that norm, for tensors that have
    /// [rows](PassTensor::rows).
    pub fn max_norm(self, max: f64) -> Result<Self, Error> {
        Ok(Self { max_norm: Some(positive("max_norm", max)?), ..self })
    }

    /// Brings each parameter between `low` and `high`, which are not NaN and in this order. A NaN stays.
    pub fn bounds(self, low: f32, high: f32) -> Result<Self, Error> {
        if low <= high {
            Ok(Self { bounds: Some((low, high)), ..self })
        } else {
            Err(Error::Bounds { low, high })
        }
    }

    /// How the [averages](PassTensor::average) of tensors that have one are kept.
    #[must_use]
    pub fn average(self, average: Average) -> Self {
        Self { average: Some(average), ..self }
    }

    fn unscale(&self) -> f32 {
        (1.0 / self.loss_scale) as f32
    }

    fn goes_by_rows(&self) -> bool {
        self.centralize || self.max_norm.is_some() || matches!(self.clip, Clip::Adaptive { .. })
    }

    /// Sets all gradients to 0 after the step. They must have been given as mutable.
    #[must_use]
    pub fn zero_grads(self) -> Self {
        Self { zero_grads: true, ..self }
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
/// ([`PassTensor::average`]), and belongs in a checkpoint with it.
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
    Mean,
}

impl Average {
    /// An exponential moving average, `weight = 1 - decay`; `decay` is from 0 to below 1. PyTorch's `get_ema_avg_fn` has
    /// 0.999, Keras 0.99.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn exponential(decay: f64) -> Result<Self, Error> {
        let decay = checked("average decay", decay, Domain::BelowOne)?;
        Ok(Self { kind: Kind::Exponential { decay }, ..Self::mean() })
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

    /// What the newest parameters weigh at a step, beside so many that are in the average already; `None` where the average
    /// stays as it is. Before the first that counts it is a copy.
    fn weight(self, step: u64, averaged: u64) -> Option<f32> {
        let weight = match self.kind {
            _ if averaged == 0 || step < self.first => return Some(1.0),
            Kind::Exponential { decay } => 1.0 - decay,
            Kind::Mean => 1.0 / (averaged as f64 + 1.0),
        };
        self.takes_in(step).then_some(weight as f32)
    }

    /// Whether the parameters of this step are counted in the average.
    fn takes_in(self, step: u64) -> bool {
        step.checked_sub(self.first).is_some_and(|since| since % self.every == 0)
    }

    pub(crate) fn overwrites(self, step: u64) -> bool {
        self.overwrite_every.is_some_and(|every| step.is_multiple_of(every))
    }
}

fn positive(option: &'static str, value: f64) -> Result<f64, Error> {
    checked(option, value, Domain::Positive)
}

fn checked(option: &'static str, value: f64, domain: Domain) -> Result<f64, Error> {
    check_number("pass", option, value, domain)?;
    Ok(value)
}
