use super::{
    checks::{check_steps, check_unit},
    schedule::Schedule,
    shape::{half_cosine, mix, progress},
};
use crate::error::Error;

/// Down along half a cosine wave.
///
/// ```text
/// min + (1 - min) * (1 + cos(pi * min(step, steps) / steps)) / 2
/// periodic:  step takes the place of min(step, steps)
/// ```
///
/// **Settings**: `steps`, 1 or more; `min`, the last factor, from 0 to 1: `eta_min / lr` (PyTorch's default is 0).
///
/// **Errors**: `steps` 0; `min` outside 0 to 1.
///
/// ```
/// use gradstep::schedule::{Cosine, Schedule};
///
/// let schedule = Cosine::new(100, 0.0)?;
/// assert!((schedule.factor(50) - 0.5).abs() < 1e-15);
/// assert_eq!([0, 100, 101].map(|step| schedule.factor(step)), [1.0, 0.0, 0.0]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.CosineAnnealingLR` (`T_max`) up to step `T_max`, beyond which it rises
/// again, as [`periodic`](Cosine::periodic) does; `optax.cosine_decay_schedule` and
/// `keras.optimizers.schedules.CosineDecay`, whose `alpha` is `min`.
///
/// **Paper**: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    steps: u64,
    min: f64,
    periodic: bool,
}

impl Cosine {
    /// From 1 to `min` in `steps` steps; then it stays there.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for 0 steps, and where `min` is not from 0 to 1.
    pub fn new(steps: u64, min: f64) -> Result<Self, Error> {
        check_steps("cosine", "steps", steps)?;
        check_unit("cosine", "min", min)?;
        Ok(Self { steps, min, periodic: false })
    }

    /// Rises to 1 again in the next `steps` steps, and so on, as PyTorch's does.
    #[must_use]
    pub const fn periodic(self) -> Self {
        Self { periodic: true, ..self }
    }
}

impl Schedule for Cosine {
    fn factor(&self, step: u64) -> f64 {
        let within = step % self.steps;
        let step = match step / self.steps {
            half_wave if self.periodic && half_wave % 2 == 1 => self.steps - within,
            _ if self.periodic => within,
            _ => step,
        };
        mix(self.min, 1.0, half_cosine(progress(step, self.steps)))
    }
}

/// Down along half a cosine wave, again and again: back at 1 when it is over, each time for longer.
///
/// ```text
/// cycle i has n_i steps: n_0 = first, n_(i+1) = min(n_i * mult, 2^64 - 1)
/// min + (1 - min) * (1 + cos(pi * (step - start of its cycle) / n_i)) / 2
/// ```
///
/// **Settings**: `first`, steps, 1 or more: `T_0`; `mult`, 1 or more: `T_mult` (PyTorch's default is 1); `min`, the
/// factor that a cycle approaches, from 0 to 1: `eta_min / lr` (PyTorch's default is 0).
///
/// **Errors**: `first` or `mult` 0; `min` outside 0 to 1.
///
/// ```
/// use gradstep::schedule::{Schedule, WarmRestarts};
///
/// let schedule = WarmRestarts::new(10, 2, 0.0)?; // restarts at 10, 30, 70, ...
/// assert_eq!([10, 30, 70].map(|step| schedule.factor(step)), [1.0; 3]);
/// assert!(schedule.factor(29) < 0.01);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`; Keras' `CosineDecayRestarts` with `m_mul`
/// 1, which does not lower the peaks.
///
/// **Paper**: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmRestarts {
    first: u64,
    mult: u64,
    min: f64,
}

impl WarmRestarts {
    /// A first cycle of `first` steps, and each next one `mult` times as long.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `first` or `mult` is 0, or `min` is not from 0 to 1.
    pub fn new(first: u64, mult: u64, min: f64) -> Result<Self, Error> {
        check_steps("warm-restarts", "first", first)?;
        check_steps("warm-restarts", "mult", mult)?;
        check_unit("warm-restarts", "min", min)?;
        Ok(Self { first, mult, min })
    }

    /// Returns how far into its cycle a step is, and how long the cycle is.
    fn locate(&self, step: u64) -> (u64, u64) {
        if self.mult == 1 {
            return (step % self.first, self.first);
        }
        // At most 64 rounds: the length doubles at least.
        let (mut within, mut steps) = (step, self.first);
        while within >= steps {
            within -= steps;
            steps = steps.saturating_mul(self.mult);
        }
        (within, steps)
    }
}

impl Schedule for WarmRestarts {
    fn factor(&self, step: u64) -> f64 {
        let (within, steps) = self.locate(step);
        mix(self.min, 1.0, half_cosine(progress(within, steps)))
    }
}
