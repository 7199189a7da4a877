use super::{
    checks::{check_factor, check_positive, check_steps},
    schedule::Schedule,
    shape::{mix, progress},
};
use crate::{
    error::Error,
    numbers::math::{powf, powi},
};

/// The same factor for ever, or for a number of steps.
///
/// ```text
/// factor
/// until(n):  factor where step < n, 1 from there on
/// ```
///
/// **Settings**: `factor`, 0 or above; `until`, steps, for ever by default.
///
/// **Errors**: a factor below 0 or not finite; `until` 0.
///
/// ```
/// use gradstep::schedule::{Constant, Schedule};
///
/// let schedule = Constant::new(0.25)?.until(5)?;
/// assert_eq!([schedule.factor(4), schedule.factor(5)], [0.25, 1.0]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: with `until`, `torch.optim.lr_scheduler.ConstantLR` (`total_iters`), which takes no factor above
/// 1; without, `optax.constant_schedule`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    factor: f64,
    until: Option<u64>,
}

impl Constant {
    /// The same factor for ever.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `factor` is below 0 or not finite.
    pub fn new(factor: f64) -> Result<Self, Error> {
        check_factor("constant", "factor", factor)?;
        Ok(Self { factor, until: None })
    }

    /// The factor for the first `steps` steps only, and 1 after them.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for 0 steps.
    pub fn until(self, steps: u64) -> Result<Self, Error> {
        check_steps("constant", "until", steps)?;
        Ok(Self { until: Some(steps), ..self })
    }
}

impl Schedule for Constant {
    fn factor(&self, step: u64) -> f64 {
        if self.until.is_some_and(|steps| step >= steps) { 1.0 } else { self.factor }
    }
}

/// A power that grows with the step, kept finite where it would overflow.
fn power(gamma: f64, exponent: u64) -> f64 {
    powi(gamma, exponent).min(f64::MAX)
}

/// Multiplied by `gamma` at every step.
///
/// ```text
/// gamma^step
/// over(n):  gamma^(step / n)
/// ```
///
/// **Settings**: `gamma`, above 0; `over`, the number of steps that it is meant for, 1 by default.
///
/// **Errors**: `gamma` 0, below or not finite; `over` 0.
///
/// ```
/// use gradstep::schedule::{Exponential, Schedule};
///
/// let schedule = Exponential::new(0.25)?.over(2)?;
/// assert_eq!([0, 1, 2].map(|step| schedule.factor(step)), [1.0, 0.5, 0.25]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.ExponentialLR`; with `over`, `optax.exponential_decay`
/// (`transition_steps`, `decay_rate`) and `keras.optimizers.schedules.ExponentialDecay`, both with `staircase` off.
/// Staircases are [`StepDecay`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    gamma: f64,
    over: u64,
}

impl Exponential {
    /// Multiplied by `gamma` at every step.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `gamma` is 0, below or not finite.
    pub fn new(gamma: f64) -> Result<Self, Error> {
        check_positive("exponential", "gamma", gamma)?;
        Ok(Self { gamma, over: 1 })
    }

    /// Spreads `gamma` evenly over this many steps.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for 0 steps.
    pub fn over(self, steps: u64) -> Result<Self, Error> {
        check_steps("exponential", "over", steps)?;
        Ok(Self { over: steps, ..self })
    }
}

impl Schedule for Exponential {
    fn factor(&self, step: u64) -> f64 {
        let whole = power(self.gamma, step / self.over);
        let part = powf(self.gamma, (step % self.over) as f64 / self.over as f64);
        (whole * part).min(f64::MAX)
    }
}

/// Multiplied by `gamma` once every `every` steps.
///
/// ```text
/// gamma^floor(step / every)
/// ```
///
/// **Settings**: `every`, steps, 1 or more; `gamma`, above 0 (PyTorch's default is 0.1).
///
/// **Errors**: `every` 0; `gamma` 0, below or not finite.
///
/// ```
/// use gradstep::schedule::{Schedule, StepDecay};
///
/// let schedule = StepDecay::new(30, 0.5)?;
/// assert_eq!([29, 30, 60].map(|step| schedule.factor(step)), [1.0, 0.5, 0.25]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.StepLR` (`step_size`); `optax.exponential_decay` and
/// `keras.optimizers.schedules.ExponentialDecay` with `staircase`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepDecay {
    every: u64,
    gamma: f64,
}

impl StepDecay {
    /// Multiplied by `gamma` once every `every` steps.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `every` is 0, or `gamma` is 0, below or not finite.
    pub fn new(every: u64, gamma: f64) -> Result<Self, Error> {
        check_steps("step-decay", "every", every)?;
        check_positive("step-decay", "gamma", gamma)?;
        Ok(Self { every, gamma })
    }
}

impl Schedule for StepDecay {
    fn factor(&self, step: u64) -> f64 {
        power(self.gamma, step / self.every)
    }
}

/// Multiplied by `gamma` at each milestone.
///
/// ```text
/// gamma^(the number of milestones <= step)
/// ```
///
/// **Settings**: `milestones`, steps, in any order, where one that is named twice counts twice; `gamma`, above 0
/// (PyTorch's default is 0.1).
///
/// **Errors**: `gamma` 0, below or not finite.
///
/// ```
/// use gradstep::schedule::{MultiStep, Schedule};
///
/// let schedule = MultiStep::new(&[30, 80], 0.5)?;
/// assert_eq!([29, 30, 80].map(|step| schedule.factor(step)), [1.0, 0.5, 0.25]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.MultiStepLR`; `optax.piecewise_constant_schedule`, where each milestone
/// has a factor of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiStep<'a> {
    milestones: &'a [u64],
    gamma: f64,
}

impl<'a> MultiStep<'a> {
    /// Multiplied by `gamma` at each milestone.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `gamma` is 0, below or not finite.
    pub fn new(milestones: &'a [u64], gamma: f64) -> Result<Self, Error> {
        check_positive("multi-step", "gamma", gamma)?;
        Ok(Self { milestones, gamma })
    }
}

impl Schedule for MultiStep<'_> {
    fn factor(&self, step: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= step).count();
        power(self.gamma, passed as u64)
    }
}

/// In a straight line from one factor to another, which then stays.
///
/// ```text
/// start + (end - start) * min(step, steps) / steps
/// ```
///
/// **Settings**: `start` and `end`, 0 or above (PyTorch's defaults are 1/3 and 1); `steps`, 1 or more (PyTorch's
/// default is 5).
///
/// **Errors**: a factor below 0 or not finite; `steps` 0.
///
/// ```
/// use gradstep::schedule::{Linear, Schedule};
///
/// let schedule = Linear::new(1.0, 0.0, 4)?;
/// assert_eq!([0, 1, 4, 5].map(|step| schedule.factor(step)), [1.0, 0.75, 0.0, 0.0]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.LinearLR` (`start_factor`, `end_factor`, `total_iters`), which takes no
/// `start_factor` of 0 and nothing above 1; `optax.linear_schedule`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    start: f64,
    end: f64,
    steps: u64,
}

impl Linear {
    /// From `start` to `end` in `steps` steps.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where a factor is below 0 or not finite, and for 0 steps.
    pub fn new(start: f64, end: f64, steps: u64) -> Result<Self, Error> {
        check_factor("linear", "start", start)?;
        check_factor("linear", "end", end)?;
        check_steps("linear", "steps", steps)?;
        Ok(Self { start, end, steps })
    }
}

impl Schedule for Linear {
    fn factor(&self, step: u64) -> f64 {
        mix(self.start, self.end, progress(step, self.steps))
    }
}

/// Down along a power of the steps that are left.
///
/// ```text
/// end + (1 - end) * (1 - min(step, steps) / steps)^power
/// ```
///
/// **Settings**: `steps`, 1 or more (PyTorch's default is 5); `power`, above 0 (PyTorch's default is 1); `end`, the
/// last factor, 0 or above, 0 by default.
///
/// **Errors**: `steps` 0; `power` 0, below or not finite; `end` below 0 or not finite.
///
/// ```
/// use gradstep::schedule::{Polynomial, Schedule};
///
/// let schedule = Polynomial::new(4, 2.0)?;
/// assert_eq!([0, 2, 3, 4].map(|step| schedule.factor(step)), [1.0, 0.25, 0.0625, 0.0]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.PolynomialLR` (`total_iters`), which always ends at 0;
/// `optax.polynomial_schedule` and `keras.optimizers.schedules.PolynomialDecay`, whose `end_learning_rate` divided by
/// the initial one is `end` and whose `cycle` is not here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    steps: u64,
    power: f64,
    end: f64,
}

impl Polynomial {
    /// From 1 to 0 in `steps` steps.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `steps` is 0, or `power` is 0, below or not finite.
    pub fn new(steps: u64, power: f64) -> Result<Self, Error> {
        check_steps("polynomial", "steps", steps)?;
        check_positive("polynomial", "power", power)?;
        Ok(Self { steps, power, end: 0.0 })
    }

    /// Ends at this factor rather than at 0.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is below 0 or not finite.
    pub fn end(self, end: f64) -> Result<Self, Error> {
        check_factor("polynomial", "end", end)?;
        Ok(Self { end, ..self })
    }
}

impl Schedule for Polynomial {
    fn factor(&self, step: u64) -> f64 {
        let left = progress(self.steps.saturating_sub(step), self.steps);
        mix(self.end, 1.0, powf(left, self.power))
    }
}
