//! A dynamic loss scale, for gradients in 16 bits.

use crate::{error::Error, pass::pass::check_single, rule::values::Domain};

/// Finds the largest loss scale at which gradients stay finite: it grows after a number of good steps, and backs off after
/// each refused one.
///
/// ```text
/// after a refused step: scale = scale*backoff_factor, and counting starts anew
/// after growth_interval good ones in a row: scale = scale*growth_factor, unless that is infinite
/// ```
///
/// The loss is multiplied with [`scale`](Self::scale) before gradients are computed, and
/// [`Pass::loss_scale`](crate::Pass::loss_scale) takes it out again. Each of the two changes is rounded to `f32`, in which
/// frameworks keep the scale; one that rounding would undo goes to the next `f32` instead. A scale never becomes 0 or
/// infinite, so that it can always be given to a pass.
///
/// For a checkpoint, [`scale`](Self::scale) and [`growth_tracker`](Self::growth_tracker) are saved, and given back to
/// [`from_scale`](Self::from_scale) and [`from_tracker`](Self::from_tracker): the scaler is the same then, bit for bit.
///
/// **Defaults** (PyTorch's `GradScaler`): scale 65536, growth factor 2, back-off factor 0.5, growth interval 2000.
///
/// ```
/// use gradstep::LossScaler;
///
/// let mut scaler = LossScaler::new();
/// scaler.update(true);
/// assert_eq!(scaler.scale(), 32768.0);
/// ```
///
/// **Paper**: Micikevicius et al., "Mixed Precision Training", 2018.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScaler {
    scale: f64,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u32,
    growth_tracker: u32,
}

impl LossScaler {
    /// PyTorch's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scale: 65536.0,
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
            growth_tracker: 0,
        }
    }

    /// The same from another scale on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless it is finite and above 0, in `f32` as well.
    pub fn from_scale(self, scale: f64) -> Result<Self, Error> {
        Ok(Self { scale: checked("scale", scale, Domain::Positive)?, ..self })
    }

    /// The same with another factor to grow by.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless it is finite and above 1, in `f32` as well.
    pub fn growth_factor(self, growth_factor: f64) -> Result<Self, Error> {
        Ok(Self { growth_factor: checked("growth_factor", growth_factor, Domain::AboveOne)?, ..self })
    }

    /// The same with another factor to back off by.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless it is above 0 and below 1, in `f32` as well.
    pub fn backoff_factor(self, backoff_factor: f64) -> Result<Self, Error> {
        checked("backoff_factor", backoff_factor, Domain::Positive)?;
        Ok(Self { backoff_factor: checked("backoff_factor", backoff_factor, Domain::BelowOne)?, ..self })
    }

    /// The same with another number of good steps before each growth; with 0 it never grows.
    #[must_use]
    pub fn growth_interval(self, growth_interval: u32) -> Self {
        Self { growth_interval, ..self }
    }

    /// The same with so many good steps behind it since the scale last changed: for a checkpoint. Where these are as many
    /// as the growth interval, or more, the scale grows after the next good step.
    #[must_use]
    pub fn from_tracker(self, growth_tracker: u32) -> Self {
        Self { growth_tracker, ..self }
    }

    /// Returns what the loss is to be multiplied with. After some 165 refused steps in a row it is the least `f32` above
    /// 0, and stays there until it grows again.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Returns how many good steps there were since the scale last changed.
    #[must_use]
    pub fn growth_tracker(&self) -> u32 {
        self.growth_tracker
    }

    /// Takes note of a step: whether it met a gradient that was not finite.
    pub fn update(&mut self, found_non_finite: bool) {
        if found_non_finite {
            (self.scale, self.growth_tracker) = (self.lower().into(), 0);
            return;
        }
        self.growth_tracker = self.growth_tracker.saturating_add(1);
        // A restored tracker may be beyond the interval.
        if self.growth_interval > 0 && self.growth_tracker >= self.growth_interval {
            (self.scale, self.growth_tracker) = (self.higher(), 0);
        }
    }

    fn lower(&self) -> f32 {
        let scaled = (self.scale * self.backoff_factor) as f32;
        let lower = if f64::from(scaled) < self.scale { scaled } else { (self.scale as f32).next_down() };
        lower.max(f32::from_bits(1))
    }

    fn higher(&self) -> f64 {
        let scaled = (self.scale * self.growth_factor) as f32;
        let higher = if f64::from(scaled) > self.scale { scaled } else { (self.scale as f32).next_up() };
        if higher.is_finite() { higher.into() } else { self.scale }
    }
}

impl Default for LossScaler {
    fn default() -> Self {
        Self::new()
    }
}

fn checked(option: &'static str, value: f64, domain: Domain) -> Result<f64, Error> {
    check_single("loss_scaler", option, value, domain)
}
