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

mod checks;
mod cosine;
mod cycle;
mod decay;
mod plateau;
mod schedule;
mod shape;
mod warmup;

pub use {
    cosine::{Cosine, WarmRestarts},
    cycle::{Cyclic, CyclicMode, OneCycle},
    decay::{Constant, Exponential, Linear, MultiStep, Polynomial, StepDecay},
    plateau::{Mode, Plateau, PlateauState, Threshold},
    schedule::{Lambda, Product, Schedule, Sequence},
    shape::Shape,
    warmup::{InverseSqrt, Warmup, WarmupStableDecay},
};
