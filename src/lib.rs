//! Gradient-descent update rules over flat `f32` slices.
//!
//! You hand over parameters, gradients and state; gradstep takes one optimizer step at memory speed.
//!
//! ```
//! use gradstep::{AdamW, step};
//!
//! let rule = AdamW::torch().lr(3e-4)?;
//! let mut params = vec![0.5; 1000];
//! let grads = vec![0.1; 1000];
//! let (mut exp_avg, mut exp_avg_sq) = (vec![0.0; 1000], vec![0.0; 1000]);
//! step(&rule, 1, &mut params, &grads, &mut [&mut exp_avg, &mut exp_avg_sq])?;
//! # Ok::<(), gradstep::Error>(())
//! ```
//!
//! - **The rules**: [`Sgd`], [`Momentum`], [`AdaGrad`], [`RmsProp`], [`Adadelta`], [`Adam`], [`AdamW`], each with the
//!   conventions of the frameworks as options and presets; [`AnyRule`] is any of them, chosen by name.
//! - **A step**: [`step()`] on the best [`Backend`], [`Backend::step`] on a given one, [`par_step`] on all threads.
//! - **A wrapper**: [`Lookahead`] adds slow weights to any rule.
//! - **A model**: [`Workers::step_model`] steps a list of tensors in one call, on threads of your choice ([`Join`]);
//!   [`Optimizer`] owns the state, the names, the groups and the counters too.
//! - **A whole training step**: a [`Pass`] unscales, checks, clips, steps, averages, copies and zeroes in one trip through
//!   memory, all or nothing; [`LossScaler`] finds the loss scale, [`Telemetry`] tells what the step did.
//! - **Training**: [`train`] has a small driver that shuffles, steps and knows when to stop.
//! - **Learning-rate schedules**: [`schedule`] has those of the frameworks, as factors on a base learning rate.
//! - **Another framework's convention**: [`convert`] carries a run over, with its state.
//! - **A rule of your own**: implement [`Rule`] and [`Kernel`].
//!
//! Every backend gives the same bits, on every machine, at any thread count and however the slices are cut: only
//! correctly rounded operations are used, in a fixed order. Which NaN an invalid operation gives is the one thing that
//! is left to the machine.
//!
//! # Features
//! `rayon` (on by default, implies `std`) adds rayon's threads. `std` (on by default, implies `alloc`) finds AVX2 and
//! AVX-512 at run time and shares steps among threads. `alloc` adds [`Optimizer`]. Without all three the crate is
//! `no_std`, and needs neither an allocator nor atomics.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod backend;
mod blocks;
mod cell;
mod convert;
mod error;
mod exact;
mod factor;
mod format;
#[cfg(feature = "std")]
mod host;
mod join;
mod lane;
mod lookahead;
mod math;
mod moments;
mod nearest;
#[cfg(feature = "alloc")]
mod optimizer;
mod options;
mod pass;
mod prefetch;
mod prepare;
mod random;
mod registry;
mod rule;
mod rules;
mod run;
mod scaler;
pub mod schedule;
mod schedule_free;
#[cfg(feature = "std")]
mod share;
mod slot;
mod step;
mod sweep;
mod tensor;
mod tile;
pub mod train;
mod velocity;
mod whole;
mod workers;

#[cfg(feature = "alloc")]
pub use optimizer::{GroupId, Optimizer, Param, ParamId, PassParam, Report, Saved, SavedParam};
#[cfg(feature = "alloc")]
pub use step::new_state;
pub use {
    backend::Backend,
    convert::convert,
    error::{Error, Name},
    format::Format,
    join::{Join, Serial},
    lane::Lane,
    lookahead::Lookahead,
    moments::{AdamEps, RootEps},
    options::{Domain, Kind, OptionInfo, Options, Value},
    pass::{
        Average, Floats, FloatsMut, GradSums, Grads, NonFinite, Pass, PassReport, PassTensor, Telemetry,
        TelemetrySlot,
    },
    prepare::{Decay, L1, Mixed, Prepare, Shrink},
    rule::{Change, Kernel, KernelVisitor, Rule, StateKind},
    rules::*,
    scaler::LossScaler,
    slot::{Extent, Initial, Role, Slot, full_slots},
    step::{init_state, step},
    tensor::Tensor,
    velocity::Velocity,
    whole::{Scope, Sum, Term},
    workers::Workers,
};
#[cfg(feature = "rayon")]
pub use {join::Rayon, step::par_step};

/// For a rule that wraps another, and passes these on.
#[doc(hidden)]
pub use {run::Run, whole::Measuring};

/// For tests, examples and the hash of a rule, which draw the same numbers everywhere.
#[doc(hidden)]
pub use random::splitmix64;

/// The examples in README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
