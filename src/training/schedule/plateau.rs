use super::{
    checks::{check_factor, check_unit},
    schedule::Schedule,
};
use crate::{
    error::Error,
    rule::{options::check_number, values::Domain},
};

/// Which metrics are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Lower ones, as for a loss.
    Min,
    /// Higher ones, as for an accuracy.
    Max,
}

/// By how much a metric must be better than the best so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// By this part of the best so far, 0 or above and below 1. For metrics above 0: a fraction of a negative number
    /// points the wrong way, and then even an equal metric is better.
    Relative(f64),
    /// By this, 0 or above.
    Absolute(f64),
}

/// What a [`Plateau`] remembers: save it with a checkpoint, and give it back to [`Plateau::restore`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlateauState {
    /// The present factor.
    pub factor: f64,
    /// The best metric; `None` where there was none.
    pub best: Option<f64>,
    /// How many metrics in a row were no better.
    pub bad: u64,
    /// For how many more metrics bad ones don't count.
    pub cooldown: u64,
}

/// Lowered when a metric no longer improves. This one has a state: tell it the metric with
/// [`observe`](Plateau::observe), once an epoch.
///
/// ```text
/// where a metric is better than the best by the threshold, it is the best and bad = 0; else bad = bad + 1
/// in the `cooldown` metrics after a reduction, bad = 0
/// where bad > patience:  factor = max(factor * gamma, min), unless that is a change of eps or less;  bad = 0
/// ```
///
/// A metric that is NaN or infinite is a bad one. As a [`Schedule`] it has the present factor at every step.
///
/// **Settings**: `mode`, lower is better by default; `gamma`, what the factor is multiplied by, 0 or above and below
/// 1, 0.1 by default: PyTorch's `factor`; `patience`, 10 metrics by default; `threshold`, relative, 1e-4 by default;
/// `cooldown`, 0 metrics by default; `min`, the lowest factor, from 0 to 1, 0 by default: `min_lr / lr`; `eps`, 0 or
/// above, 1e-8 by default: `eps / lr`. The defaults are PyTorch's, whose `eps` is not a ratio.
///
/// **Errors**: a setter refuses what is outside the ranges above.
///
/// ```
/// use gradstep::schedule::{Plateau, Schedule};
///
/// let mut schedule = Plateau::torch().patience(1).gamma(0.5)?;
/// let factors = [3.0, 2.0, 2.0, 2.0, 1.0].map(|loss| schedule.observe(loss));
/// assert_eq!(factors, [1.0, 1.0, 1.0, 0.5, 0.5]);
///
/// let resumed = Plateau::torch().patience(1).gamma(0.5)?.restore(schedule.state())?;
/// assert_eq!(resumed, schedule);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.ReduceLROnPlateau`, but for infinite metrics: minus infinity is the best
/// of all there, and nothing is ever better. `keras.callbacks.ReduceLROnPlateau` reduces one bad metric earlier (at
/// its `patience`), and its `min_delta` is an absolute threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    mode: Mode,
    gamma: f64,
    patience: u64,
    threshold: Threshold,
    cooldown: u64,
    min: f64,
    eps: f64,
    state: PlateauState,
}

impl Plateau {
    /// As `torch.optim.lr_scheduler.ReduceLROnPlateau`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            mode: Mode::Min,
            gamma: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            min: 0.0,
            eps: 1e-8,
            state: PlateauState { factor: 1.0, best: None, bad: 0, cooldown: 0 },
        }
    }

    /// Returns which metrics are better.
    #[must_use]
    pub const fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Returns what the factor is multiplied by.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is below 0, or 1 or above.
    pub fn gamma(self, gamma: f64) -> Result<Self, Error> {
        check_number("plateau", "gamma", gamma, Domain::BelowOne)?;
        Ok(Self { gamma, ..self })
    }

    /// Returns how many bad metrics in a row are borne.
    #[must_use]
    pub const fn patience(self, metrics: u64) -> Self {
        Self { patience: metrics, ..self }
    }

    /// By how much a metric must be better than the best so far.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is below 0 or not finite, or is relative and not below 1.
    pub fn threshold(self, threshold: Threshold) -> Result<Self, Error> {
        let (value, domain) = match threshold {
            Threshold::Relative(part) => (part, Domain::BelowOne),
            Threshold::Absolute(difference) => (difference, Domain::NonNegative),
        };
        check_number("plateau", "threshold", value, domain)?;
        Ok(Self { threshold, ..self })
    }

    /// For how many metrics after a reduction bad ones don't count.
    #[must_use]
    pub const fn cooldown(self, metrics: u64) -> Self {
        Self { cooldown: metrics, ..self }
    }

    /// The lowest factor.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is not from 0 to 1.
    pub fn min(self, min: f64) -> Result<Self, Error> {
        check_unit("plateau", "min", min)?;
        Ok(Self { min, ..self })
    }

    /// The smallest reduction, which is not made any more.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is below 0 or not finite.
    pub fn eps(self, eps: f64) -> Result<Self, Error> {
        check_factor("plateau", "eps", eps)?;
        Ok(Self { eps, ..self })
    }

    /// Takes note of a metric, and returns the factor from now on.
    pub fn observe(&mut self, metric: f64) -> f64 {
        if self.is_better(metric) {
            (self.state.best, self.state.bad) = (Some(metric), 0);
        } else {
            self.state.bad = self.state.bad.saturating_add(1);
        }
        if self.state.cooldown > 0 {
            self.state.cooldown -= 1;
            self.state.bad = 0;
        }
        if self.state.bad > self.patience {
            self.reduce();
        }
        self.state.factor
    }

    fn is_better(&self, metric: f64) -> bool {
        let Some(best) = self.state.best else { return metric.is_finite() };
        let limit = match (self.threshold, self.mode) {
            (Threshold::Relative(part), Mode::Min) => best * (1.0 - part),
            (Threshold::Relative(part), Mode::Max) => best * (1.0 + part),
            (Threshold::Absolute(difference), Mode::Min) => best - difference,
            (Threshold::Absolute(difference), Mode::Max) => best + difference,
        };
        let beyond = if self.mode == Mode::Min { metric < limit } else { metric > limit };
        beyond && metric.is_finite()
    }

    fn reduce(&mut self) {
        let factor = (self.state.factor * self.gamma).max(self.min);
        if self.state.factor - factor > self.eps {
            self.state.factor = factor;
        }
        (self.state.bad, self.state.cooldown) = (0, self.cooldown);
    }

    /// Returns what it remembers.
    #[must_use]
    pub const fn state(&self) -> PlateauState {
        self.state
    }

    /// Goes on from a saved state. The settings are not part of it: a factor below `min` stays as it is, and counters that
    /// are beyond `patience` or `cooldown` go on from where they are.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `factor` is not from 0 to 1 or `best` is not finite.
    pub fn restore(self, state: PlateauState) -> Result<Self, Error> {
        check_unit("plateau", "factor", state.factor)?;
        check_number("plateau", "best", state.best.unwrap_or(0.0), Domain::Finite)?;
        Ok(Self { state, ..self })
    }
}

impl Schedule for Plateau {
    fn factor(&self, _: u64) -> f64 {
        self.state.factor
    }
}
