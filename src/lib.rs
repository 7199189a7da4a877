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
#![allow(clippy::module_inception, reason = "the main file of a folder has the folder's name")]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod error;
mod formats;
mod model;
mod name;
mod numbers;
mod pass;
mod rule;
mod rules;
mod simd;
mod step;
mod sweep;
mod tensor;
mod threads;
mod training;

#[cfg(feature = "alloc")]
pub use model::{
    ids::{GroupId, ParamId},
    optimizer::{Optimizer, Param, Report},
    saved::{Saved, SavedParam},
};
#[cfg(feature = "alloc")]
pub use step::new_state;
pub use training::{schedule, train};
pub use {
    error::Error,
    formats::{
        floats::{Floats, FloatsMut, Grads},
        half::Format,
    },
    model::{convert::convert, lookahead::Lookahead},
    name::Name,
    pass::{
        loss_scaler::LossScaler,
        pass::{Average, NonFinite, Pass},
    },
    rule::{
        common::{Decay, L1},
        kernel::{Change, Kernel, KernelVisitor},
        options::Options,
        regularize::{Mixed, Prepare, Shrink},
        rule::Rule,
        slots::{Extent, Initial, Role, Slot, full_slots},
        state_kind::StateKind,
        sums::{Measures, Scope, Sum, Term},
        values::{Domain, Kind, OptionInfo, Value},
    },
    rules::{
        parts::{
            moments::{AdamEps, RootEps},
            velocity::Velocity,
        },
        *,
    },
    simd::{backend::Backend, lane::Lane},
    step::{init_state, step},
    tensor::{
        grad_sums::GradSums,
        report::PassReport,
        telemetry::{Telemetry, TelemetrySlot},
        tensor::Tensor,
    },
    threads::{
        join::{Join, Serial},
        workers::Workers,
    },
};
#[cfg(feature = "rayon")]
pub use {step::par_step, threads::join::Rayon};

/// The examples in README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
