//! One step over slices that the caller owns.

use crate::{Backend, Error, Rule, Workers, tensor::Layout};

/// Takes one optimizer step, on the fastest backend of this machine.
///
/// - `step` counts from 1. The caller keeps it, and passes the next number each time.
/// - `params` are changed in place.
/// - `grads` has one element for each parameter.
/// - `state` has one slice for each name in [`rule.state()`](Rule::state), in that order, each as long as
///   [`rule.state_len`](Rule::state_len) says: as `params`, or 1 for a scalar. Before the first step every slice holds
///   [`rule.initial(slot)`](Rule::initial), which [`init_state`] writes.
///
/// All element-wise, for rules without [scalars](Rule::scalars): a step over any range of the slices equals that range of
/// the whole step, bit for bit, and a NaN or an infinity in `grads` reaches its own element and no other. The others take
/// norms of the whole slices first. Empty slices are fine.
///
/// # Errors
/// [`Error::StepZero`], [`Error::StateCount`] or [`Error::Length`]; nothing has changed then. [`Error::KernelState`] and
/// [`Error::TooManySlices`] are for faulty rules of the caller's own.
///
/// ```
/// use gradstep::{Adam, init_state, step};
///
/// let rule = Adam::torch().lr(0.1)?;
/// let mut params = [1.0, -2.0, 3.0];
/// let (mut exp_avg, mut exp_avg_sq) = ([0.0; 3], [0.0; 3]);
/// for t in 1..=200 {
///     let grads = params.map(|p| 2.0 * p); // of the sum of squares
///     step(&rule, t, &mut params, &grads, &mut [&mut exp_avg, &mut exp_avg_sq])?;
/// }
/// assert!(params.iter().all(|p| p.abs() < 0.01));
/// # Ok::<(), gradstep::Error>(())
/// ```
pub fn step<R: Rule>(
    rule: &R,
    step: u64,
    params: &mut [f32],
    grads: &[f32],
    state: &mut [&mut [f32]],
) -> Result<(), Error> {
    Backend::detect().step(rule, step, params, grads, state)
}

/// Writes into each state slice what it holds before the first step.
///
/// # Errors
/// [`Error::StateCount`] where there are more or fewer slices than the rule has; nothing has changed then.
pub fn init_state<R: Rule>(rule: &R, state: &mut [&mut [f32]]) -> Result<(), Error> {
    Layout::of(rule).check_count(state.len())?;
    for (slot, slice) in state.iter_mut().enumerate() {
        slice.fill(rule.initial(slot));
    }
    Ok(())
}

/// [`step()`] on all threads of the current rayon pool, with the same bits. For one large slice: a small one is stepped
/// by the calling thread alone (see [`Workers::serial_below`]).
///
/// # Errors
/// As [`step()`].
///
/// ```
/// use gradstep::{Sgd, par_step};
///
/// let mut params = vec![1.0; 1_000_000];
/// let grads = vec![0.5; 1_000_000];
/// par_step(&Sgd::torch().lr(1.0)?, 1, &mut params, &grads, &mut [])?;
/// assert!(params.iter().all(|&p| p == 0.5));
/// # Ok::<(), gradstep::Error>(())
/// ```
#[cfg(feature = "rayon")]
pub fn par_step<R: Rule>(
    rule: &R,
    step: u64,
    params: &mut [f32],
    grads: &[f32],
    state: &mut [&mut [f32]],
) -> Result<(), Error> {
    Workers::rayon().step(rule, step, params, grads, state)
}

impl Backend {
    /// [`step()`] on this backend.
    ///
    /// # Errors
    /// As [`step()`].
    pub fn step<R: Rule>(
        self,
        rule: &R,
        step: u64,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), Error> {
        Workers::serial().backend(self).step(rule, step, params, grads, state)
    }
}
