//! A small training loop: shuffle, take batches, step, and know when to stop.
//!
//! [`minimize`] allocates what it needs; [`minimize_in`] works in buffers that the caller owns, without `std`;
//! [`minimize_with`] leaves the step itself to the caller.
//!
//! ```
//! use gradstep::{Momentum, train::{Plan, Reason, minimize}};
//!
//! // (p - 3)^2 has its minimum at 3.
//! let plan = Plan { epochs: 1000, grad_norm_below: Some(1e-4), ..Plan::default() };
//! let mut params = [0.0];
//! let run = minimize(&Momentum::torch().lr(0.01)?, &plan, &mut params, 0, |p, _, g| {
//!     g[0] = 2.0 * (p[0] - 3.0);
//!     f64::from(p[0] - 3.0).powi(2)
//! })?;
//! assert_eq!(run.end.reason, Reason::GradNormBelow);
//! assert!((params[0] - 3.0).abs() < 1e-3);
//! # Ok::<(), gradstep::Error>(())
//! ```

#[cfg(feature = "std")]
use std::{vec, vec::Vec};

use crate::{
    error::Error,
    numbers::{math::sqrt, random::splitmix64},
    rule::{options::check_number, rule::Rule, values::Domain},
    step::{init_state, step},
    sweep::check::check_rule,
    tensor::{state::Layout, tensor::Tensor},
};

#[cfg(feature = "std")]
use crate::step::new_state;

/// How many samples a gradient is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// All of them: gradient descent.
    Full,
    /// One, in shuffled order: stochastic gradient descent.
    Single,
    /// This many, in shuffled order; the last batch of an epoch may be smaller.
    Mini(usize),
}

/// How to train, and when to stop. Every criterion that is given is checked after each epoch, in the order of
/// [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How many samples a gradient is taken over.
    pub batch: Batch,
    /// What the shuffling is seeded with: the same seed, the same order, on every machine.
    pub seed: u64,
    /// Stop after this many passes over all samples.
    pub epochs: u32,
    /// Stop when the mean loss of an epoch is below this.
    pub loss_below: Option<f64>,
    /// Stop when the Euclidean norm of each gradient of an epoch is below this.
    pub grad_norm_below: Option<f64>,
    /// Stop when the loss has not improved for this many epochs.
    pub patience: Option<u32>,
    /// What counts as an improvement: a loss that is lower than the lowest so far by more than this.
    pub min_improvement: f64,
}

impl Default for Plan {
    /// Full batches, seed 0, 100 epochs and no other reason to stop.
    fn default() -> Self {
        Self {
            batch: Batch::Full,
            seed: 0,
            epochs: 100,
            loss_below: None,
            grad_norm_below: None,
            patience: None,
            min_improvement: 0.0,
        }
    }
}

impl Plan {
    fn check(&self) -> Result<(), Error> {
        if self.batch == Batch::Mini(0) {
            return Err(Error::EmptyBatch);
        }
        let check = |option, value, domain| check_number("train", option, value, domain);
        check("loss_below", self.loss_below.unwrap_or(0.0), Domain::Finite)?;
        check("grad_norm_below", self.grad_norm_below.unwrap_or(0.0), Domain::NonNegative)?;
        check("min_improvement", self.min_improvement, Domain::NonNegative)
    }
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A loss or a gradient was NaN or infinite. The step was not taken: parameters and state are those before it.
    NotFinite,
    /// The mean loss of the last epoch was below [`Plan::loss_below`].
    LossBelow,
    /// All gradients of the last epoch were shorter than [`Plan::grad_norm_below`].
    GradNormBelow,
    /// The loss had not improved for [`Plan::patience`] epochs.
    NoImprovement,
    /// [`Plan::epochs`] are done.
    Epochs,
}

/// One pass over all samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counts from 1.
    pub number: u32,
    /// The mean loss over the samples, each at the parameters at which its batch was taken.
    pub loss: f64,
    /// The largest Euclidean norm of the epoch's gradients.
    pub grad_norm: f64,
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// How many epochs were completed.
    pub epochs: u32,
    /// How many steps were taken.
    pub steps: u64,
}

/// What [`minimize`] returns.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How training ended.
    pub end: End,
    /// Every completed epoch.
    pub history: Vec<Epoch>,
}

/// The buffers that [`minimize_in`] works in.
#[derive(Debug)]
pub struct Workspace<'a, 'b> {
    /// One element for each parameter. What it holds at first does not matter.
    pub grads: &'a mut [f32],
    /// The rule's state slices, initialised here.
    pub state: &'a mut [&'b mut [f32]],
    /// One element for each sample. What it holds at first does not matter.
    pub order: &'a mut [usize],
}

/// Trains with `rule` from the parameters given, and leaves the last ones in their place.
///
/// `objective` is given the parameters, the numbers of the batch's samples (each below `samples`) and a gradient to
/// fill; it returns the loss. Both are means over the batch. With `samples` 0 it is a function without data: each
/// epoch is one step, and the batch is empty.
///
/// # Errors
/// Those of [`step()`], [`Error::EmptyBatch`] for batches of 0, and [`Error::OutOfRange`] for a threshold that is not
/// a number; nothing has changed then.
#[cfg(feature = "std")]
pub fn minimize<R: Rule>(
    rule: &R,
    plan: &Plan,
    params: &mut [f32],
    samples: usize,
    objective: impl FnMut(&[f32], &[usize], &mut [f32]) -> f64,
) -> Result<Run, Error> {
    let mut state = new_state(rule, params);
    let workspace = Workspace {
        grads: &mut vec![0.0; params.len()],
        state: &mut state.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
        order: &mut vec![0; samples],
    };
    let mut history = Vec::new();
    let end = minimize_in(rule, plan, params, workspace, objective, |epoch| history.push(epoch))?;
    Ok(Run { end, history })
}

/// [`minimize`] in buffers that the caller owns; `observe` is told of each epoch when it is completed.
///
/// # Errors
/// As [`minimize`].
pub fn minimize_in<R: Rule>(
    rule: &R,
    plan: &Plan,
    params: &mut [f32],
    workspace: Workspace<'_, '_>,
    objective: impl FnMut(&[f32], &[usize], &mut [f32]) -> f64,
    observe: impl FnMut(Epoch),
) -> Result<End, Error> {
    plan.check()?;
    check_rule(rule.erased(), 1)?;
    Tensor::borrow(params, workspace.grads, workspace.state)?.check(&Layout::of(rule.erased()))?;
    init_state(rule, params, workspace.state)?;
    let Workspace { grads, state, order } = workspace;
    let take_step = |number, params: &mut [f32], grads: &[f32]| step(rule, number, params, grads, state);
    minimize_with(plan, params, grads, order, objective, take_step, observe)
}

/// The loop of [`minimize_in`] around a step of the caller's own: with a [`Pass`](crate::Pass), or on several threads.
/// `take_step` is given the number of the step, from 1 on, the parameters and their gradient.
///
/// ```
/// use gradstep::{Pass, Tensor, Sgd, Workers, train::{Plan, minimize_with}};
///
/// // The slope of p^4 is steep at 10: without clipping, this learning rate would lead away.
/// let (rule, pass) = (Sgd::torch().lr(0.1)?, Pass::new().clip_global_norm(1.0)?);
/// let mut params = [10.0];
/// minimize_with(
///     &Plan { epochs: 200, ..Plan::default() },
///     &mut params,
///     &mut [0.0],
///     &mut [],
///     |p, _, g| {
///         g[0] = 4.0 * p[0].powi(3);
///         f64::from(p[0].powi(4))
///     },
///     |step, params, grads| {
///         let tensor = Tensor::new(params, grads, [])?;
///         Workers::serial().step_pass(&pass, &rule, step, &mut [tensor])?;
///         Ok(())
///     },
///     |_epoch| (),
/// )?;
/// assert!(params[0].abs() < 0.2);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// # Errors
/// Those of the plan as in [`minimize`], and those of `take_step`, which end the loop.
pub fn minimize_with(
    plan: &Plan,
    params: &mut [f32],
    grads: &mut [f32],
    order: &mut [usize],
    mut objective: impl FnMut(&[f32], &[usize], &mut [f32]) -> f64,
    mut take_step: impl FnMut(u64, &mut [f32], &[f32]) -> Result<(), Error>,
    mut observe: impl FnMut(Epoch),
) -> Result<End, Error> {
    plan.check()?;
    for (place, sample) in order.iter_mut().zip(0..) {
        *place = sample;
    }

    let mut shuffle = Shuffle(plan.seed);
    let mut progress = Progress::new(plan);
    let mut steps = 0;
    let end = |reason, epochs, steps| Ok(End { reason, epochs, steps });
    for number in 1..=plan.epochs {
        if plan.batch != Batch::Full {
            shuffle.shuffle(order);
        }
        let mut epoch = Mean::default();
        for batch in batches(order, plan.batch) {
            let loss = objective(params, batch, grads);
            let grad_norm = norm(grads);
            if !(loss.is_finite() && grad_norm.is_finite()) {
                return end(Reason::NotFinite, number - 1, steps);
            }
            take_step(steps + 1, params, grads)?;
            steps += 1;
            epoch.add(batch.len(), loss, grad_norm);
        }
        let epoch = epoch.finish(number);
        observe(epoch);
        if let Some(reason) = progress.reason_to_stop(&epoch) {
            return end(reason, number, steps);
        }
    }
    end(Reason::Epochs, plan.epochs, steps)
}

/// The batches of one epoch: at least one, if an empty one.
fn batches(order: &[usize], batch: Batch) -> impl Iterator<Item = &[usize]> {
    let len = match batch {
        Batch::Full => order.len(),
        Batch::Single => 1,
        Batch::Mini(len) => len,
    };
    let without_data = order.is_empty().then_some(order);
    // Mini-batches of 0 have been refused. The compiler does not know, and would keep a panic for them.
    order.chunks(len.max(1)).chain(without_data)
}

/// The Euclidean norm. Squares of `f32` are exact in `f64` and their sum can't overflow, so that it is finite where
/// all elements are.
fn norm(grads: &[f32]) -> f64 {
    sqrt(grads.iter().map(|&g| f64::from(g) * f64::from(g)).sum())
}

/// Collects an epoch. The mean is weighted by the samples of each batch; an empty batch counts as one.
#[derive(Default)]
struct Mean {
    loss: f64,
    samples: f64,
    grad_norm: f64,
}

impl Mean {
    fn add(&mut self, samples: usize, loss: f64, grad_norm: f64) {
        let samples = samples.max(1) as f64;
        self.loss += loss * samples;
        self.samples += samples;
        self.grad_norm = if self.grad_norm < grad_norm { grad_norm } else { self.grad_norm };
    }

    fn finish(&self, number: u32) -> Epoch {
        Epoch { number, loss: self.loss / self.samples, grad_norm: self.grad_norm }
    }
}

/// Decides after each epoch whether to go on.
struct Progress<'a> {
    plan: &'a Plan,
    lowest: f64,
    since: u32,
}

impl<'a> Progress<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self { plan, lowest: f64::INFINITY, since: 0 }
    }

    fn reason_to_stop(&mut self, epoch: &Epoch) -> Option<Reason> {
        if epoch.loss < self.lowest - self.plan.min_improvement {
            (self.lowest, self.since) = (epoch.loss, 0);
        } else {
            self.since += 1;
        }
        if self.plan.loss_below.is_some_and(|threshold| epoch.loss < threshold) {
            Some(Reason::LossBelow)
        } else if self.plan.grad_norm_below.is_some_and(|threshold| epoch.grad_norm < threshold) {
            Some(Reason::GradNormBelow)
        } else if self.plan.patience.is_some_and(|epochs| self.since >= epochs) {
            Some(Reason::NoImprovement)
        } else {
            None
        }
    }
}

/// Puts things in random order; what it holds is the generator's state.
struct Shuffle(u64);

impl Shuffle {
    /// Below `n`, with a bias of less than `n / 2^64`.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(splitmix64(&mut self.0)) * n as u128) >> 64) as usize
    }

    /// Fisher and Yates' shuffle: every order is as likely as any other.
    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            order.swap(last, self.below(last + 1));
        }
    }
}
