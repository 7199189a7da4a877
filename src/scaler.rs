//! A dynamic loss scale, for gradients in 16 bits.

use crate::{
    Error,
    options::{Domain, check_number},
};

/// Finds the largest loss scale at which gradients stay finite: it grows after a number of good steps, and backs off after
/// each refused one.
///
/// ```text
/// after a refused step: scale = scale*backoff_factor, and counting starts anew
/// after growth_interval good ones in a row: scale = scale*growth_factor, unless that is infinite
/// ```
///
/// The loss is multiplied with [`scale`](Self::scale) before gradients are computed, and
/// [`Pass::loss_scale`](crate::Pass::loss_scale) takes it out again.
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
    /// [`Error::OutOfRange`] unless it is finite and above 0, here and below.
    pub fn from_scale(self, scale: f64) -> Result<Self, Error> {
        Ok(Self { scale: positive("scale", scale)?, ..self })
    }

    /// The same with another factor to grow by.
    ///
    /// # Errors
    /// As [`from_scale`](Self::from_scale).
    pub fn growth_factor(self, growth_factor: f64) -> Result<Self, Error> {
        Ok(Self { growth_factor: positive("growth_factor", growth_factor)?, ..self })
    }

    /// The same with another factor to back off by.
    ///
    /// # Errors
    /// As [`from_scale`](Self::from_scale).
    pub fn backoff_factor(self, backoff_factor: f64) -> Result<Self, Error> {
        Ok(Self { backoff_factor: positive("backoff_factor", backoff_factor)?, ..self })
    }

    /// The same with another number of good steps before each growth; with 0 it never grows.
    #[must_use]
    pub fn growth_interval(self, growth_interval: u32) -> Self {
        Self { growth_interval, ..self }
    }

    /// The same with so many good steps behind it since the scale last changed: for a checkpoint.
    #[must_use]
    pub fn from_tracker(self, growth_tracker: u32) -> Self {
        Self { growth_tracker, ..self }
    }

    /// What the loss is to be multiplied with. After some 145 refused steps in a row it is below 3e-39, which
    /// [`Pass::loss_scale`](crate::Pass::loss_scale) refuses: its inverse would be infinite.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// How many good steps there were since the scale last changed.
    #[must_use]
    pub fn growth_tracker(&self) -> u32 {
        self.growth_tracker
    }

    /// Takes note of a step: whether it met a gradient that was not finite.
    pub fn update(&mut self, found_non_finite: bool) {
        if found_non_finite {
            self.scale = in_f32(self.scale * self.backoff_factor);
            self.growth_tracker = 0;
            return;
        }
        self.growth_tracker = self.growth_tracker.saturating_add(1);
        if self.growth_tracker == self.growth_interval {
            let grown = in_f32(self.scale * self.growth_factor);
            self.scale = if grown.is_finite() { grown } else { self.scale };
            self.growth_tracker = 0;
        }
    }
}

impl Default for LossScaler {
    fn default() -> Self {
        Self::new()
    }
}

/// Frameworks keep the scale as an `f32`. One that underflows stays at the least number above 0.
fn in_f32(scale: f64) -> f64 {
    (scale as f32).max(f32::from_bits(1)).into()
}

fn positive(option: &'static str, value: f64) -> Result<f64, Error> {
    check_number("loss_scaler", option, value, Domain::Positive)?;
    Ok(value)
}
