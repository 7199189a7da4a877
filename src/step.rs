//! One step over slices that the caller owns.

use crate::{
    Backend, Error, Kernel, KernelVisitor, Prepare, Rule, Shrink,
    backend::Vectorized,
    lane::Isa,
    prepare::{Coupled, Decayed, Scaled},
    sweep::sweep,
};

/// Takes one optimizer step, on the fastest backend of this machine.
///
/// - `step` counts from 1. The caller keeps it, and passes the next number each time.
/// - `params` are changed in place.
/// - `grads` has one element for each parameter.
/// - `state` has one slice for each name in [`rule.state()`](Rule::state), in that order, each as long as `params`.
///   Before the first step every slice holds [`rule.initial(slot)`](Rule::initial), which [`init_state`] writes.
///
/// All element-wise: a step over any range of the slices equals that range of the whole step, bit for bit. Empty
/// slices are fine. A NaN or an infinity in `grads` reaches its own element and no other.
///
/// # Errors
/// [`Error::StepZero`], [`Error::StateCount`] or [`Error::Length`]; nothing has changed then.
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
    check_count(rule, state.len())?;
    for (slot, slice) in state.iter_mut().enumerate() {
        slice.fill(rule.initial(slot));
    }
    Ok(())
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
        check(rule, step, params, grads, state)?;
        rule.with_kernel(step, Serial { backend: self, rule, params, grads, state })
    }
}

pub(crate) fn check<R: Rule>(
    rule: &R,
    step: u64,
    params: &[f32],
    grads: &[f32],
    state: &[&mut [f32]],
) -> Result<(), Error> {
    if step == 0 {
        return Err(Error::StepZero);
    }
    check_count(rule, state.len())?;
    let slices = rule.state().iter().zip(state.iter().map(|slice| slice.len()));
    for (&slice, found) in core::iter::once((&"grads", grads.len())).chain(slices) {
        if found != params.len() {
            return Err(Error::Length { slice, expected: params.len(), found });
        }
    }
    Ok(())
}

fn check_count<R: Rule>(rule: &R, found: usize) -> Result<(), Error> {
    let expected = rule.state();
    if found == expected.len() {
        Ok(())
    } else {
        Err(Error::StateCount { rule: rule.name(), expected, found })
    }
}

/// The slices of one step, their number known at compile time.
pub(crate) struct Slices<'a, const N: usize> {
    pub(crate) params: &'a mut [f32],
    pub(crate) grads: &'a [f32],
    pub(crate) state: [&'a mut [f32]; N],
}

impl<'a, const N: usize> Slices<'a, N> {
    /// Refuses a rule whose kernel takes another number of slices than the rule names.
    pub(crate) fn new<R: Rule>(
        rule: &R,
        params: &'a mut [f32],
        grads: &'a [f32],
        state: &'a mut [&mut [f32]],
    ) -> Result<Self, Error> {
        let named = state.len();
        let Ok(state) = <&mut [&mut [f32]; N]>::try_from(state) else {
            return Err(Error::KernelState { rule: rule.name(), named, taken: N });
        };
        Ok(Self { params, grads, state: state.each_mut().map(|slice| &mut **slice) })
    }
}

struct Serial<'a, 'b, R> {
    backend: Backend,
    rule: &'a R,
    params: &'a mut [f32],
    grads: &'a [f32],
    state: &'a mut [&'b mut [f32]],
}

impl<R: Rule> KernelVisitor for Serial<'_, '_, R> {
    type Output = Result<(), Error>;

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) -> Self::Output {
        let slices = Slices::new(self.rule, self.params, self.grads, self.state)?;
        run(self.backend, kernel, self.rule.prepare(), slices);
        Ok(())
    }
}

/// Sweeps `kernel` over `slices`, on the calling thread.
pub(crate) fn run<K: Kernel<N>, const N: usize>(
    backend: Backend,
    kernel: K,
    prepare: Prepare,
    slices: Slices<'_, N>,
) {
    let Prepare { scale, shrink } = prepare;
    match shrink {
        Shrink::Nothing => backend.run(Sweep { kernel: Scaled { kernel, scale }, slices }),
        Shrink::L2(l2) => backend.run(Sweep { kernel: Coupled { kernel, scale, l2 }, slices }),
        Shrink::Decay(decay) => backend.run(Sweep { kernel: Decayed { kernel, scale, decay }, slices }),
    }
}

struct Sweep<'a, K, const N: usize> {
    kernel: K,
    slices: Slices<'a, N>,
}

impl<K: Kernel<N>, const N: usize> Vectorized for Sweep<'_, K, N> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Slices { params, grads, state } = self.slices;
        sweep(isa, self.kernel, params, grads, state);
    }
}
