use super::{
    checks::{check_factor, check_positive, check_steps, check_unit},
    schedule::Schedule,
    shape::{Shape, mix},
};
use crate::{
    error::Error,
    numbers::math::powi,
    rule::{options::check_number, values::Domain},
};

/// Up to the base learning rate and down far below where it began, once: super-convergence.
///
/// ```text
/// low = 1 / div_factor,  last = low / final_div_factor
/// from low to 1 at step pct_start*steps - 1, then to last at step steps - 1, where it stays
/// three_phase:  from low to 1 as above, back to low at step 2*pct_start*steps - 2, then to last
/// ```
///
/// The base learning rate is the highest: PyTorch's `max_lr`. Where a phase ends between two steps, neither is exactly
/// at its end. A `pct_start` can leave no steps for a later phase: at 1 there is no way down, and with `three_phase` and
/// more than 1/2 the way back is not over at the last step, and `last` is not reached. What the last step has stays in any
/// case.
///
/// **Settings**: `steps`, 1 or more: `total_steps`; `pct_start`, the first phase's part of them, from 0 to 1, 0.3 by
/// default; `anneal`, the way up and down, cosine by default; `div_factor`, above 0, 25 by default;
/// `final_div_factor`, above 0, 10000 by default; `three_phase`, off by default. The defaults are PyTorch's.
///
/// **Errors**: `steps` 0; `pct_start` outside 0 to 1; a divisor 0, below or not finite.
///
/// ```
/// use gradstep::schedule::{OneCycle, Schedule, Shape};
///
/// let schedule = OneCycle::new(101)?.pct_start(0.5)?.div_factor(10.0)?.anneal(Shape::Linear);
/// assert_eq!(schedule.factor(0), 0.1);
/// assert!(schedule.factor(49) > 0.98);
/// assert_eq!(schedule.factor(100), 1e-5);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.OneCycleLR` (`anneal_strategy` "cos" and "linear"), without its momentum.
/// There, step `total_steps` goes beyond the end and the next one is an error. `optax.cosine_onecycle_schedule` is
/// at its highest and at its end one step later, and rounds the former to a whole step.
///
/// **Paper**: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
/// 2018.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    steps: u64,
    pct_start: f64,
    anneal: Shape,
    div_factor: f64,
    final_div_factor: f64,
    three_phase: bool,
}

impl OneCycle {
    /// Over `steps` steps, with PyTorch's defaults.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for 0 steps.
    pub fn new(steps: u64) -> Result<Self, Error> {
        check_steps("one-cycle", "steps", steps)?;
        Ok(Self {
            steps,
            pct_start: 0.3,
            anneal: Shape::Cosine,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        })
    }

    /// The first phase's part of all steps.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is not from 0 to 1.
    pub fn pct_start(self, pct_start: f64) -> Result<Self, Error> {
        check_unit("one-cycle", "pct_start", pct_start)?;
        Ok(Self { pct_start, ..self })
    }

    /// The way up and down.
    #[must_use]
    pub const fn anneal(self, anneal: Shape) -> Self {
        Self { anneal, ..self }
    }

    /// The highest learning rate divided by the first.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is 0, below or not finite.
    pub fn div_factor(self, div_factor: f64) -> Result<Self, Error> {
        check_positive("one-cycle", "div_factor", div_factor)?;
        Ok(Self { div_factor, ..self })
    }

    /// The first learning rate divided by the last.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is 0, below or not finite.
    pub fn final_div_factor(self, final_div_factor: f64) -> Result<Self, Error> {
        check_positive("one-cycle", "final_div_factor", final_div_factor)?;
        Ok(Self { final_div_factor, ..self })
    }

    /// Returns whether the way down is as the way up, and a third phase follows.
    #[must_use]
    pub const fn three_phase(self, three_phase: bool) -> Self {
        Self { three_phase, ..self }
    }

    /// At `step` on the way from `(step, factor)` to `(step, factor)`.
    fn between(&self, step: f64, from: (f64, f64), to: (f64, f64)) -> f64 {
        // A phase may have no length.
        let p = if from.0 < to.0 { (step - from.0) / (to.0 - from.0) } else { 1.0 };
        mix(to.1, from.1, self.anneal.left(p))
    }
}

impl Schedule for OneCycle {
    fn factor(&self, step: u64) -> f64 {
        let low = (1.0 / self.div_factor).min(f64::MAX);
        let last = (low / self.final_div_factor).min(f64::MAX);
        let steps = self.steps as f64;
        let step = step.min(self.steps - 1) as f64;

        let start = (0.0, low);
        let peak = (self.pct_start * steps - 1.0, 1.0);
        let back = (2.0 * self.pct_start * steps - 2.0, low);
        // In whole numbers, so that the last step is the end even where an `f64` does not hold all of them.
        let end = ((self.steps - 1) as f64, last);
        if step <= peak.0 {
            self.between(step, start, peak)
        } else if !self.three_phase {
            self.between(step, peak, end)
        } else if step <= back.0 {
            self.between(step, peak, back)
        } else {
            self.between(step, back, end)
        }
    }
}

/// What becomes of the height of a [`Cyclic`]'s cycles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CyclicMode {
    /// It stays.
    Triangular,
    /// It is halved after each cycle.
    Triangular2,
    /// It is multiplied by this at every step: PyTorch's `gamma`, above 0 and at most 1.
    ExpRange(f64),
}

/// Up and down between two factors, in straight lines, for ever.
///
/// ```text
/// low + (high - low) * x * scale
/// x goes from 0 to 1 in `up` steps and back to 0 in `down` steps
/// scale:  triangular 1,  triangular2 1 / 2^(cycles that are over),  exp_range gamma^step
/// ```
///
/// **Settings**: `up`, steps, 1 or more: `step_size_up` (PyTorch's default is 2000); `low` and `high`, 0 or above;
/// `down`, steps, 1 or more, as `up` by default; `mode`, triangular by default.
///
/// **Errors**: `up` or `down` 0; a factor below 0 or not finite; a `gamma` that is not above 0 or is above 1.
///
/// ```
/// use gradstep::schedule::{Cyclic, CyclicMode, Schedule};
///
/// let schedule = Cyclic::new(2, 1.0, 5.0)?.mode(CyclicMode::Triangular2)?;
/// assert_eq!([0, 1, 2, 3, 4, 6].map(|step| schedule.factor(step)), [1.0, 3.0, 5.0, 3.0, 1.0, 3.0]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.CyclicLR`, without its momentum. Its `base_lr` is the base learning rate
/// if `low` is 1 and `high` is `max_lr / base_lr`; its `max_lr` is, if `high` is 1 and `low` is `base_lr / max_lr`.
/// There `gamma` may be above 1.
///
/// **Paper**: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cyclic {
    up: u64,
    down: u64,
    low: f64,
    high: f64,
    mode: CyclicMode,
}

impl Cyclic {
    /// From `low` to `high` in `up` steps, and back in as many.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `up` is 0, or a factor is below 0 or not finite.
    pub fn new(up: u64, low: f64, high: f64) -> Result<Self, Error> {
        check_steps("cyclic", "up", up)?;
        check_factor("cyclic", "low", low)?;
        check_factor("cyclic", "high", high)?;
        Ok(Self { up, down: up, low, high, mode: CyclicMode::Triangular })
    }

    /// Back in `steps` steps.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for 0 steps.
    pub fn down(self, steps: u64) -> Result<Self, Error> {
        check_steps("cyclic", "down", steps)?;
        Ok(Self { down: steps, ..self })
    }

    /// Returns what becomes of the height.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `gamma` is not above 0 or is above 1.
    pub fn mode(self, mode: CyclicMode) -> Result<Self, Error> {
        if let CyclicMode::ExpRange(gamma) = mode {
            check_number("cyclic", "gamma", gamma, Domain::PositiveUnit)?;
        }
        Ok(Self { mode, ..self })
    }
}

impl Schedule for Cyclic {
    fn factor(&self, step: u64) -> f64 {
        // No step is beyond the first cycle where that is longer than a counter goes.
        let (cycles, within) = match self.up.checked_add(self.down) {
            Some(steps) => (step / steps, step % steps),
            None => (0, step),
        };
        let x = match within.checked_sub(self.up) {
            Some(past) => (self.down - past) as f64 / self.down as f64,
            None => within as f64 / self.up as f64,
        };
        let scale = match self.mode {
            CyclicMode::Triangular => 1.0,
            CyclicMode::Triangular2 => powi(0.5, cycles),
            CyclicMode::ExpRange(gamma) => powi(gamma, step),
        };
        mix(self.low, self.high, x * scale)
    }
}
