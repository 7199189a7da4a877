//! Learning-rate schedules: what a base learning rate is multiplied by, as a function of the step.
//!
//! Every schedule is a factor on one base learning rate, so that schedules combine by multiplication. Where a
//! framework takes a second learning rate (`eta_min`, `max_lr`, `min_lr`), the schedule takes its ratio to the base.
//! Schedules count steps from 0, as PyTorch's `last_epoch` does, while [`step`](crate::step()) counts from 1. A
//! "step" is whatever the schedule is asked once for: an optimizer step or an epoch.
//!
//! ```
//! use gradstep::{AdamW, schedule::{Cosine, Schedule, Warmup}, step};
//!
//! // Up for 10 steps, then down to a tenth over 90.
//! let schedule = Warmup::new(10, 0.0, Cosine::new(90, 0.1)?)?;
//! let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
//! for t in 1..=100 {
//!     let rule = AdamW::torch().lr(schedule.lr(0.03, t - 1))?;
//!     let grads = [2.0 * params[0]];
//!     step(&rule, t, &mut params, &grads, &mut [&mut exp_avg, &mut exp_avg_sq])?;
//! }
//! assert!(params[0].abs() < 0.1);
//! # Ok::<(), gradstep::Error>(())
//! ```
//!
//! - **Over a given time**: [`Linear`], [`Polynomial`], [`Cosine`], [`OneCycle`], [`WarmupStableDecay`].
//! - **Without an end**: [`Constant`], [`Exponential`], [`StepDecay`], [`MultiStep`], [`InverseSqrt`],
//!   [`WarmRestarts`], [`Cyclic`].
//! - **By the results**: [`Plateau`].
//! - **Combined**: [`Warmup`], [`Schedule::times`], [`Schedule::then`]; [`Lambda`] is a function of your own.
//!
//! The factors of all but `Lambda`, and of what is combined from it, are finite and 0 or above at every step: what would
//! overflow is `f64::MAX`. They have the same bits on every machine: no function of the platform's mathematical library is
//! used. PyTorch computes many of its schedules from the last learning rate rather than from the step; the numbers here are
//! those of its closed forms, which differ from what it prints in the last digits only.

use crate::{
    Domain, Error,
    math::{cos_pi, sqrt},
    options::check_number,
};

mod combine;
mod cosine;
mod cycle;
mod decay;
mod plateau;
mod warmup;

pub use {
    combine::{Lambda, Product, Sequence},
    cosine::{Cosine, WarmRestarts},
    cycle::{Cyclic, CyclicMode, OneCycle},
    decay::{Constant, Exponential, Linear, MultiStep, Polynomial, StepDecay},
    plateau::{Mode, Plateau, PlateauState, Threshold},
    warmup::{InverseSqrt, Warmup, WarmupStableDecay},
};

/// What a base learning rate is multiplied by, as a function of the step.
pub trait Schedule {
    /// The factor on the base learning rate at `step`, counted from 0. Any step may be asked for, in any order.
    fn factor(&self, step: u64) -> f64;

    /// The learning rate at `step`, counted from 0.
    fn lr(&self, base: f64, step: u64) -> f64 {
        base * self.factor(step)
    }

    /// The product with another schedule, both at the same step.
    ///
    /// As `torch.optim.lr_scheduler.ChainedScheduler`, where what it chains are factors. PyTorch's `CosineAnnealingLR`
    /// with an `eta_min` isn't one: it works on the last learning rate, and its chain is not a product.
    ///
    /// ```
    /// use gradstep::schedule::{Exponential, Linear, Schedule};
    ///
    /// let schedule = Linear::new(0.5, 1.0, 4)?.times(Exponential::new(0.9)?);
    /// assert_eq!(schedule.factor(2), 0.75 * (0.9 * 0.9));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    fn times<S: Schedule>(self, other: S) -> Product<Self, S>
    where
        Self: Sized,
    {
        Product(self, other)
    }

    /// This schedule up to step `at`, and from there on `next`, whose steps count from `at`.
    ///
    /// As `torch.optim.lr_scheduler.SequentialLR` and `optax.join_schedules`. Their lists of milestones are calls in a
    /// row: `a.then(10, b).then(30, c)` has `b` from step 10 and `c` from step 30.
    ///
    /// ```
    /// use gradstep::schedule::{Constant, Exponential, Schedule};
    ///
    /// let schedule = Constant::new(0.25)?.then(3, Exponential::new(0.5)?);
    /// assert_eq!([1, 2, 3, 4].map(|step| schedule.factor(step)), [0.25, 0.25, 1.0, 0.5]);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    fn then<S: Schedule>(self, at: u64, next: S) -> Sequence<Self, S>
    where
        Self: Sized,
    {
        Sequence { first: self, at, next }
    }
}

impl<S: Schedule + ?Sized> Schedule for &S {
    fn factor(&self, step: u64) -> f64 {
        (**self).factor(step)
    }
}

/// The way from one factor to another; `p` goes from 0 to 1 on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// In a straight line: `1 - p` of the first factor is left.
    Linear,
    /// Along half a cosine wave: `(1 + cos(pi p)) / 2` is left.
    Cosine,
    /// Fast, then slower: `1 - sqrt(p)` is left.
    Sqrt,
}

impl Shape {
    /// What is left of the first factor.
    fn left(self, p: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - p,
            Self::Cosine => half_cosine(p),
            Self::Sqrt => 1.0 - sqrt(p),
        }
    }
}

/// `(1 + cos(pi p)) / 2`. The square of the cosine of half the angle is the same, and keeps its digits near 0.
fn half_cosine(p: f64) -> f64 {
    let cosine = cos_pi(p / 2.0);
    cosine * cosine
}

/// How much of `steps` is over, from 0 to 1.
fn progress(step: u64, steps: u64) -> f64 {
    if step < steps { step as f64 / steps as f64 } else { 1.0 }
}

/// From `from` at 0 to `to` at 1, which it meets exactly.
fn mix(from: f64, to: f64, p: f64) -> f64 {
    if p < 1.0 { from + (to - from) * p } else { to }
}

fn check_positive(schedule: &'static str, option: &'static str, value: f64) -> Result<(), Error> {
    check_number(schedule, option, value, Domain::Positive)
}

fn check_steps(schedule: &'static str, option: &'static str, steps: u64) -> Result<(), Error> {
    check_positive(schedule, option, steps as f64)
}

/// For factors.
fn check_factor(schedule: &'static str, option: &'static str, factor: f64) -> Result<(), Error> {
    check_number(schedule, option, factor, Domain::NonNegative)
}

/// For factors that are a floor under others.
fn check_unit(schedule: &'static str, option: &'static str, factor: f64) -> Result<(), Error> {
    check_number(schedule, option, factor, Domain::Unit)
}
