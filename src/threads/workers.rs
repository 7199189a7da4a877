//! What a step runs on: a backend, threads, and the size from which the threads are worth their fork.

use crate::{
    error::Error,
    rule::rule::Rule,
    simd::backend::Backend,
    sweep::{
        alone::step_alone,
        check::check_rule,
        erased::ErasedRule,
        groups::{OneRule, Program, step_tensors},
        measure::{feed_plain, measure},
    },
    tensor::{
        report::PassReport,
        state::Layout,
        tensor::{Tensor, check_each},
        view::View,
    },
    threads::join::{Join, Serial},
};
#[cfg(feature = "std")]
use crate::{
    sweep::groups::step_view,
    tensor::view::bytes_per_element,
    threads::queue::{Job, share, total_bytes},
};

/// Below this many bytes of traffic a step is not shared. The fork and the wake-up of a second thread cost some 10 us from
/// outside rayon's pool, and a parallel step is never to take much longer than a serial one. No number is right everywhere.
/// Measured with `cargo bench --bench ratios`, AdamW with two threads took, of the time of one thread, at 64 K, 128 K and 256 K
/// elements (1.8, 3.5 and 7 MiB): 1.21, 1.25 and 0.77 on Zen 5; 1.06, 0.94 and 0.64 on Zen 4; 0.83, 0.72 and 0.57 on Emerald
/// Rapids.
const SERIAL_BELOW: usize = 4 << 20;

/// Steps tensors, one or a whole model of them, on a given backend and given threads.
///
/// The bits do not depend on any of it.
///
/// ```
/// use gradstep::{Momentum, Tensor, Workers};
///
/// let (mut weight, mut bias) = (vec![1.0; 1000], vec![0.0; 10]);
/// let (weight_grad, bias_grad) = (vec![0.1; 1000], vec![0.1; 10]);
/// let (mut weight_v, mut bias_v) = (vec![0.0; 1000], vec![0.0; 10]);
/// let mut model = [
///     Tensor::new(&mut weight, &weight_grad, [&mut weight_v[..]])?,
///     Tensor::new(&mut bias, &bias_grad, [&mut bias_v[..]])?,
/// ];
/// Workers::rayon().step_model(&Momentum::torch(), 1, &mut model)?;
/// # Ok::<(), gradstep::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Workers<J = Serial> {
    #[cfg_attr(
        not(feature = "std"),
        expect(dead_code, reason = "without `std` there is no one to share with")
    )]
    pub(crate) join: J,
    pub(crate) backend: Backend,
    #[cfg_attr(not(feature = "std"), expect(dead_code, reason = "as above"))]
    serial_below: usize,
    #[cfg_attr(not(feature = "std"), expect(dead_code, reason = "as above"))]
    host_may_flush: bool,
}

impl Workers<Serial> {
    /// The calling thread alone, on the fastest backend.
    #[must_use]
    pub fn serial() -> Self {
        Self { join: Serial, backend: Backend::detect(), serial_below: SERIAL_BELOW, host_may_flush: false }
    }
}

#[cfg(feature = "rayon")]
impl Workers<crate::threads::join::Rayon> {
    /// All threads of rayon's current pool, on the fastest backend.
    ///
    /// A caller must not hold a lock over a step if other tasks of the pool take the same lock, or both may wait for ever, as
    /// with any call into rayon. The step waits for the threads of the pool, which may be waiting for the lock. On a thread
    /// of the pool rayon also runs other tasks while the step waits, and one of them may wait for the lock that its own
    /// thread holds. [`serial`](Self::serial) avoids this, and from a thread outside of rayon so does a pool for the steps
    /// alone, which [`new`](Self::new) takes.
    #[must_use]
    pub fn rayon() -> Self {
        Self::new(crate::threads::join::Rayon)
    }
}

impl<J: Join> Workers<J> {
    /// The threads of `join`, on the fastest backend.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn new(join: J) -> Self {
        Self { join, backend: Backend::detect(), serial_below: SERIAL_BELOW, host_may_flush: false }
    }

    /// The same on another backend.
    #[must_use]
    pub fn backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// The same for a host that has its threads flush subnormal numbers on purpose: steps are taken instead of refused with
    /// [`Error::FlushedSubnormals`].
    ///
    /// Bits are then those of the host. Where only some of its threads flush, they also depend on which thread takes which
    /// part of a step.
    #[must_use]
    pub fn flushing_host(self) -> Self {
        Self { host_may_flush: true, ..self }
    }

    /// Refuses a step on a thread that flushes subnormals. The threads of the pool are not looked at: a step that one of them
    /// has begun cannot be taken back. Firmware runs on processors without such a mode, or sets it itself.
    pub(crate) fn check_host(&self) -> Result<(), Error> {
        #[cfg(feature = "std")]
        if !self.host_may_flush && crate::simd::denormals::flushes_subnormals() {
            return Err(Error::FlushedSubnormals);
        }
        Ok(())
    }

    /// The same with another cut-off: a step that moves fewer bytes than this is not shared among threads. A step
    /// moves 12 bytes a parameter, and 8 more for each state slice. The default is 4 MiB.
    #[must_use]
    pub fn serial_below(self, bytes: usize) -> Self {
        Self { serial_below: bytes, ..self }
    }

    /// [`step()`](crate::step()) on these threads.
    ///
    /// # Errors
    /// As [`step()`](crate::step()).
    pub fn step<R: Rule>(
        &self,
        rule: &R,
        step: u64,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), Error> {
        self.check_host()?;
        #[cfg(feature = "std")]
        return self.team().step_one(rule.erased(), step, params, grads, state);
        #[cfg(not(feature = "std"))]
        step_alone(self.backend, rule, step, params, grads, state)
    }

    /// One step of `rule` for all `tensors`, in one fork and join: large ones are cut into ranges, small ones packed
    /// together. It is step number `step` of each tensor that has no [counter](Tensor::counter) of its own.
    ///
    /// # Errors
    /// As [`step()`](crate::step()), with [`Error::TensorLength`] for a slice of wrong length, which names the tensor by
    /// its place in the list, and [`Error::NeedsPass`] for a tensor with something that only a pass looks at; nothing has changed
    /// then.
    pub fn step_model<R: Rule>(&self, rule: &R, step: u64, tensors: &mut [Tensor<'_>]) -> Result<(), Error> {
        self.check_host()?;
        self.team().step_list(rule.erased(), step, tensors)
    }

    /// The same with the type of the threads forgotten.
    pub(crate) fn team(&self) -> Team<'_> {
        Team {
            #[cfg(feature = "std")]
            join: &self.join,
            backend: self.backend,
            #[cfg(feature = "std")]
            serial_below: self.serial_below,
            #[cfg(not(feature = "std"))]
            alone: core::marker::PhantomData,
        }
    }
}

/// [`Workers`] without the type of the threads, so that the driver is compiled once, with the crate.
#[derive(Clone, Copy)]
pub(crate) struct Team<'w> {
    #[cfg(feature = "std")]
    join: &'w dyn Join,
    pub(crate) backend: Backend,
    #[cfg(feature = "std")]
    serial_below: usize,
    #[cfg(not(feature = "std"))]
    alone: core::marker::PhantomData<&'w ()>,
}

impl Team<'_> {
    /// Checks and steps a tensor; what is refused does not name it.
    #[cfg(feature = "std")]
    fn step_one(
        &self,
        rule: &dyn ErasedRule,
        step: u64,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), Error> {
        if !self.shares(params.len().saturating_mul(bytes_per_element(state.len()))) {
            return step_alone(self.backend, rule, step, params, grads, state);
        }
        check_rule(rule, step)?;
        let mut tensor = Tensor::borrow(params, grads, state)?;
        tensor.begin(step);
        tensor.check(&Layout::of(rule))?;
        tensor.check_first_state(rule)?;
        self.step(&OneRule(rule), core::slice::from_mut(&mut tensor));
        Ok(())
    }

    /// Checks, steps and counts the tensors of a list.
    fn step_list(&self, rule: &dyn ErasedRule, step: u64, tensors: &mut [Tensor<'_>]) -> Result<(), Error> {
        check_rule(rule, step)?;
        let layout = Layout::of(rule);
        tensors.iter_mut().for_each(|tensor| tensor.begin(step));
        check_each(tensors, |tensor| tensor.check(&layout).and_then(|()| tensor.check_first_state(rule)))?;
        self.step(&OneRule(rule), tensors);
        tensors.iter_mut().for_each(Tensor::count);
        Ok(())
    }

    /// Steps tensors that have been checked, and that ask for nothing beside the rule.
    pub(crate) fn step(&self, program: &dyn Program, tensors: &mut [Tensor<'_>]) {
        if program.measures() {
            measure(self.backend, program, tensors, &feed_plain);
        }
        #[cfg(feature = "std")]
        if self.shares(total_bytes(tensors)) {
            return share(self.join, tensors, &|job| match job {
                Job::Tensors(tensors) => step_tensors(self.backend, program, tensors),
                Job::Range(mut view) => step_view(self.backend, program, &mut view),
            });
        }
        step_tensors(self.backend, program, tensors);
    }

    /// Steps and counts tensors that ask for nothing beside the rule, and makes their state before their first step where that is
    /// left to the optimizer.
    pub(crate) fn step_plain(&self, program: &dyn Program, tensors: &mut [Tensor<'_>]) -> PassReport {
        for tensor in tensors.iter_mut() {
            tensor.forget_sums();
            if tensor.plan.tag.fresh {
                tensor.write_first_state(program.rule(tensor.plan.tag));
            }
        }
        self.step(program, tensors);
        tensors.iter_mut().for_each(Tensor::count);
        PassReport {
            refused: false,
            stepped: tensors.len(),
            skipped: 0,
            elements: tensors.iter().map(Tensor::len).sum(),
            non_finite: 0,
            grad_norm: None,
        }
    }

    /// Has all tensors worked on range by range, by several threads where that is worth it. Each thread has something of its
    /// own, which it keeps from one tensor to the next.
    pub(crate) fn over_views<T: Default>(
        &self,
        tensors: &mut [Tensor<'_>],
        work: &(dyn Fn(View<'_>, &mut T) + Sync),
    ) {
        let all_of = |tensors: &mut [Tensor<'_>]| {
            let mut own = T::default();
            tensors.iter_mut().for_each(|tensor| work(tensor.view(), &mut own));
        };
        #[cfg(feature = "std")]
        if self.shares(total_bytes(tensors)) {
            return share(self.join, tensors, &|job| match job {
                Job::Tensors(tensors) => all_of(tensors),
                Job::Range(view) => work(view, &mut T::default()),
            });
        }
        all_of(tensors);
    }

    /// Returns whether a step that moves so many bytes is worth a fork.
    #[cfg(feature = "std")]
    fn shares(&self, bytes: usize) -> bool {
        self.join.threads() > 1 && bytes >= self.serial_below
    }
}

#[cfg(feature = "rayon")]
impl Default for Workers<crate::threads::join::Rayon> {
    fn default() -> Self {
        Self::rayon()
    }
}
