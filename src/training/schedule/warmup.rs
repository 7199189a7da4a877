use super::{
    checks::{check_factor, check_steps, check_unit},
    decay::Linear,
    schedule::{Schedule, Sequence},
    shape::{Shape, mix, progress},
};
use crate::{error::Error, numbers::math::sqrt};

/// In a straight line up to 1, then any other schedule.
///
/// ```text
/// start + (1 - start) * step / steps   where step < steps
/// then.factor(step - steps)            from there on
/// ```
///
/// **Settings**: `steps`, 0 for no warm-up; `start`, the first factor, 0 or above; `then`, what follows, with steps of
/// its own that count from 0.
///
/// **Errors**: `start` below 0 or not finite.
///
/// ```
/// use gradstep::schedule::{Cosine, Schedule, Warmup};
///
/// let schedule = Warmup::new(4, 0.0, Cosine::new(16, 0.0)?)?;
/// assert_eq!([0, 1, 4, 20].map(|step| schedule.factor(step)), [0.0, 0.25, 1.0, 0.0]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `torch.optim.lr_scheduler.SequentialLR` of a `LinearLR` and another. In the `get_*_with_warmup` of
/// transformers, and in `optax.warmup_cosine_decay_schedule`, `start` is 0 or `init_value / peak_value`, and the
/// number of all steps includes the warm-up, which here it does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup<S>(Sequence<Linear, S>);

impl<S: Schedule> Warmup<S> {
    /// From `start` to 1 in `steps` steps, then `then`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `start` is below 0 or not finite.
    pub fn new(steps: u64, start: f64, then: S) -> Result<Self, Error> {
        check_factor("warmup", "start", start)?;
        Ok(Self(Linear::new(start, 1.0, steps.max(1))?.then(steps, then)))
    }
}

impl<S: Schedule> Schedule for Warmup<S> {
    fn factor(&self, step: u64) -> f64 {
        self.0.factor(step)
    }
}

/// Up, level for as long as one likes, and down at the end: WSD, the trapezoid.
///
/// ```text
/// start + (1 - start) * step / warmup   for `warmup` steps
/// 1                                     for `stable` steps
/// min + (1 - min) * left(p)             for `decay` steps, over which p goes from 0 to 1
/// min                                   from there on
/// left(p):  linear 1-p,  cosine (1+cos(pi p))/2,  sqrt 1-sqrt(p)
/// ```
///
/// **Settings**: `warmup` and `stable`, steps, 0 for none; `decay`, steps, 1 or more; `shape`, the way down; `start`,
/// the first factor, 0 or above, 0 by default; `min`, the last factor, from 0 to 1, 0 by default.
///
/// **Errors**: `decay` 0; `start` below 0 or not finite; `min` outside 0 to 1.
///
/// ```
/// use gradstep::schedule::{Schedule, Shape, WarmupStableDecay};
///
/// let schedule = WarmupStableDecay::new(2, 10, 4, Shape::Sqrt)?;
/// assert_eq!([1, 2, 12, 13, 16].map(|step| schedule.factor(step)), [0.5, 1.0, 1.0, 0.5, 0.0]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `get_wsd_schedule` of transformers (`decay_type` "linear", "cosine", "1-sqrt"), if `start` is its
/// `min_lr_ratio`: there the warm-up begins at `min`.
///
/// **Papers**: Hu and others, "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training
/// Strategies", 2024; Hägele and others, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations",
/// 2024, for 1-sqrt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupStableDecay {
    warmup: u64,
    stable: u64,
    decay: u64,
    shape: Shape,
    start: f64,
    min: f64,
}

impl WarmupStableDecay {
    /// From 0 to 1, level, and down to 0, in so many steps each.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `decay` is 0.
    pub fn new(warmup: u64, stable: u64, decay: u64, shape: Shape) -> Result<Self, Error> {
        check_steps("warmup-stable-decay", "decay", decay)?;
        Ok(Self { warmup, stable, decay, shape, start: 0.0, min: 0.0 })
    }

    /// Begins at this factor.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is below 0 or not finite.
    pub fn start(self, start: f64) -> Result<Self, Error> {
        check_factor("warmup-stable-decay", "start", start)?;
        Ok(Self { start, ..self })
    }

    /// Ends at this factor.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is not from 0 to 1.
    pub fn min(self, min: f64) -> Result<Self, Error> {
        check_unit("warmup-stable-decay", "min", min)?;
        Ok(Self { min, ..self })
    }
}

impl Schedule for WarmupStableDecay {
    fn factor(&self, step: u64) -> f64 {
        if step < self.warmup {
            return mix(self.start, 1.0, progress(step, self.warmup));
        }
        // Neither difference is below 0, nor does a sum overflow: up to the decay, p is 0.
        let decaying = (step - self.warmup).saturating_sub(self.stable);
        mix(self.min, 1.0, self.shape.left(progress(decaying, self.decay)))
    }
}

/// In a straight line up to 1, then down with the root of the step.
///
/// ```text
/// min(t / warmup, sqrt(warmup / t))   with t = step, or step + 1 for noam
/// ```
///
/// **Settings**: `warmup`, steps, 1 or more.
///
/// **Errors**: `warmup` 0.
///
/// ```
/// use gradstep::schedule::{InverseSqrt, Schedule};
///
/// let schedule = InverseSqrt::new(100)?;
/// assert_eq!([0, 50, 100, 400].map(|step| schedule.factor(step)), [0.0, 0.5, 1.0, 0.5]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Frameworks**: `get_inverse_sqrt_schedule` of transformers without a `timescale`, `inverse_sqrt` of fairseq with a
/// `warmup_init_lr` of 0. For the schedule of the paper, the base learning rate of [`noam`](InverseSqrt::noam) is
/// `1 / sqrt(d_model * warmup)`, times the factor that some put in front.
///
/// **Paper**: Vaswani and others, "Attention Is All You Need", 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseSqrt {
    warmup: u64,
    first: u64,
}

impl InverseSqrt {
    /// Is 0 at step 0, and 1 at step `warmup`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `warmup` is 0.
    pub fn new(warmup: u64) -> Result<Self, Error> {
        check_steps("inverse-sqrt", "warmup", warmup)?;
        Ok(Self { warmup, first: 0 })
    }

    /// One step ahead, as the paper counts from 1: `1 / warmup` at step 0.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where `warmup` is 0.
    pub fn noam(warmup: u64) -> Result<Self, Error> {
        Ok(Self { first: 1, ..Self::new(warmup)? })
    }
}

impl Schedule for InverseSqrt {
    fn factor(&self, step: u64) -> f64 {
        let step = step.saturating_add(self.first);
        if step < self.warmup { progress(step, self.warmup) } else { sqrt(self.warmup as f64 / step as f64) }
    }
}
