//! One step over slices that the caller owns.

#[cfg(feature = "alloc")]
use alloc::{vec, vec::Vec};

use crate::{
    error::Error,
    rule::rule::Rule,
    simd::backend::Backend,
    tensor::state::{Layout, write_first_state},
    threads::workers::Workers,
};

/// Takes one optimizer step, on the fastest backend of this machine.
///
/// - `step` counts from 1. The caller keeps it, and passes the next number each time.
/// - `params` are changed in place.
/// - `grads` has one element for each parameter.
/// - `state` has one slice for each of [`rule.slots()`](Rule::slots), in that order and as long as
///   [`slot.len`](crate::Slot::len) says. Before the first step it is what [`init_state`] writes.
///
/// Rules without numbers about the whole tensor work element by element: a step over any range of the slices equals that range
/// of the whole step, bit for bit, and a NaN or an infinity in `grads` reaches its own element and no other. The other
/// rules take norms of the whole slices first. Empty slices are fine.
///
/// # Errors
/// [`Error::StepZero`], [`Error::StateCount`], [`Error::Length`], or at step 1 [`Error::FirstState`] for state that is not
/// what the rule starts from; nothing has changed then. [`Error::KernelState`], [`Error::SlotOrder`] and
/// [`Error::TooManySlices`] are for faulty rules of the caller's own.
///
/// ```
/// use gradstep::{Adam, init_state, step};
///
/// let rule = Adam::torch().lr(0.1)?;
/// let mut params = [1.0, -2.0, 3.0];
/// let (mut exp_avg, mut exp_avg_sq) = ([0.0; 3], [0.0; 3]);
/// let state: &mut [&mut [f32]] = &mut [&mut exp_avg, &mut exp_avg_sq];
/// init_state(&rule, &params, state)?;
/// for t in 1..=200 {
///     let grads = params.map(|p| 2.0 * p); // of the sum of squares
///     step(&rule, t, &mut params, &grads, state)?;
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

/// Writes into each state slice what it is before the first step: zeros, the rule's own number, or a copy of the parameters, as
/// the rule's [slots](Rule::slots) say. Slices that the caller fills (the Hessian of Sophia) are left alone.
///
/// [`Tensor::init_state`](crate::Tensor::init_state) and [`Tensor::init_state`](crate::Tensor::init_state) do the same; an
/// [`Optimizer`](crate::Optimizer) makes its own state.
///
/// # Errors
/// [`Error::StateCount`] or [`Error::Length`] where the slices do not fit the rule; nothing has changed then.
pub fn init_state<R: Rule>(rule: &R, params: &[f32], state: &mut [&mut [f32]]) -> Result<(), Error> {
    let layout = Layout::of(rule.erased());
    layout.check_count(state.len())?;
    layout.check_lengths(params.len(), state.iter().map(|slice| slice.len()))?;
    write_first_state(rule.erased(), state, |i| params.get(i).copied().unwrap_or_default());
    Ok(())
}

/// Makes the state that comes before the first step, one vector for each of the rule's [slots](Rule::slots).
///
/// ```
/// use gradstep::{Prodigy, new_state, step};
///
/// let (rule, mut params) = (Prodigy::optax(), vec![1.0; 100]);
/// let mut state = new_state(&rule, &params);
/// for t in 1..=10 {
///     let grads = params.clone(); // of half the sum of squares
///     let state = &mut state.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>();
///     step(&rule, t, &mut params, &grads, state)?;
/// }
/// # Ok::<(), gradstep::Error>(())
/// ```
#[cfg(feature = "alloc")]
pub fn new_state<R: Rule>(rule: &R, params: &[f32]) -> Vec<Vec<f32>> {
    let mut state: Vec<_> = rule.slots().iter().map(|slot| vec![0.0; slot.len(params.len())]).collect();
    let mut slices: Vec<_> = state.iter_mut().map(Vec::as_mut_slice).collect();
    write_first_state(rule.erased(), &mut slices, |i| params[i]);
    drop(slices);
    state
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
