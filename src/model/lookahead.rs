//! Lookahead: slow weights that follow the fast ones of any rule.

use core::slice;

use crate::{
    error::Error,
    formats::{
        floats::{FloatsMut, Grads},
        slices::Slices,
        tiles::TILE,
    },
    name::Name,
    rule::{
        kernel::{Change, Kernel},
        options::check_number,
        slots::{Initial, Role, Slot},
        values::Domain,
    },
    simd::{
        isa::{Isa, Vectorized},
        lane::Lane,
    },
    sweep::sweep::sweep,
    tensor::{
        state::Layout,
        tensor::{Tensor, check_each},
    },
    threads::{join::Join, workers::Workers},
};

/// Lookahead: every few steps of any rule, slow weights go a part of the way to the fast ones, which start again from
/// there.
///
/// ```text
/// the rule's step:                      fast = fast - change
/// then, where sync_period divides t:    slow = slow + slow_step_size*(fast - slow);  fast = slow
/// ```
///
/// The fast weights are the parameters that the rule steps, and gradients are taken there; the slow ones are the model.
/// A wrapper and no rule: [`sync`](Lookahead::sync) comes after each [`step()`](crate::step()), whatever the rule, and
/// its state stays.
///
/// **State**: the slow weights, a copy of the parameters before the first step, which the caller makes and keeps.
///
/// **Defaults**: sync_period (the paper's k) 5 and slow_step_size (its alpha) 0.5.
///
/// **Errors**: a setter refuses a period of 0, and a step size that is not above 0 and at most 1.
///
/// ```
/// use gradstep::{Lookahead, Sgd, step};
///
/// let (rule, lookahead) = (Sgd::torch().lr(1.0)?, Lookahead::default().sync_period(2)?);
/// let mut fast = [8.0];
/// let mut slow = fast;
/// for t in 1..=2 {
///     step(&rule, t, &mut fast, &[1.0], &mut [])?;
///     let synced = lookahead.sync(t, &mut fast, &mut slow)?;
///     assert_eq!(synced, t == 2);
/// }
/// assert_eq!((fast, slow), ([7.0], [7.0])); // half of the way from 8 to 6
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Paper**: Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", 2019.
///
/// **Where frameworks differ**: optax has no defaults, the authors' code a step size of 0.8. optax adds two updates to
/// two sets of weights, whose roundings may differ; here both are the same bits after a sync. optax' `reset_state` is a
/// call of [`init_state`](crate::init_state) where `sync` returns true, and a count of steps that begins anew, for the
/// rule alone. The authors' code can also move the momentum back; that is the caller's to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lookahead {
    sync_period: u64,
    slow_step_size: f64,
}

impl Default for Lookahead {
    fn default() -> Self {
        Self { sync_period: 5, slow_step_size: 0.5 }
    }
}

const NAME: &str = "lookahead";

const LAYOUT: Layout = Layout { rule: NAME, slots: &[SLOW] };

const SLOW: Slot = Slot::full("slow", Role::Point).starting_as(Initial::Param);

impl Lookahead {
    /// Every how many steps the slow weights move.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for 0.
    pub fn sync_period(self, steps: u64) -> Result<Self, Error> {
        check_number(NAME, "sync_period", steps as f64, Domain::Positive)?;
        Ok(Self { sync_period: steps, ..self })
    }

    /// Returns which part of the way to the fast weights they go.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a number that is not above 0 and at most 1.
    pub fn slow_step_size(self, part: f64) -> Result<Self, Error> {
        check_number(NAME, "slow_step_size", part, Domain::PositiveUnit)?;
        Ok(Self { slow_step_size: part, ..self })
    }

    /// To be called after every step, with its number: moves the slow weights to the fast ones and sets these back,
    /// when it is time. Whether it was is returned.
    ///
    /// Element by element, with the same bits on every backend.
    ///
    /// # Errors
    /// [`Error::StepZero`], and [`Error::Length`] where `slow` is not as long as `fast`; nothing has changed then.
    pub fn sync(&self, step: u64, fast: &mut [f32], slow: &mut [f32]) -> Result<bool, Error> {
        let mut tensor = Tensor::new(fast, Grads::NONE, [slow])?;
        tensor.check_state(&LAYOUT)?;
        self.sync_checked(&Workers::serial(), step, slice::from_mut(&mut tensor))
    }

    /// The same for a whole model, in one fork and join, on a backend and threads of choice.
    ///
    /// Each tensor has the fast weights as its parameters and the slow ones as its only state. Its gradient is not
    /// looked at: `Tensor::new(fast, Grads::NONE, [slow])`.
    ///
    /// # Errors
    /// [`Error::StepZero`], [`Error::StateCount`], [`Error::TensorLength`], which names the tensor by its place in the list, and
    /// [`Error::Pass`] for parameters of 16 bits; nothing has changed then.
    pub fn sync_model<J: Join>(
        &self,
        workers: &Workers<J>,
        step: u64,
        tensors: &mut [Tensor<'_>],
    ) -> Result<bool, Error> {
        check_each(tensors, |tensor| tensor.check_state(&LAYOUT))?;
        let halves = |tensor: &Tensor<'_>| !matches!(tensor.params, FloatsMut::F32(_));
        if let Some(place) = tensors.iter().position(halves) {
            let reason = "lookahead moves parameters of f32 alone, and these have 16 bits";
            return Err(Error::Pass { tensor: Name::number(place), reason });
        }
        self.sync_checked(workers, step, tensors)
    }

    fn sync_checked<J: Join>(
        &self,
        workers: &Workers<J>,
        step: u64,
        tensors: &mut [Tensor<'_>],
    ) -> Result<bool, Error> {
        if step == 0 {
            return Err(Error::StepZero);
        }
        let due = step.is_multiple_of(self.sync_period);
        if due {
            let kernel = Follow { part: self.slow_step_size as f32 };
            let backend = workers.backend;
            workers.team().over_views(tensors, &|view, (): &mut ()| {
                let [slow, ..] = view.state;
                if let FloatsMut::F32(fast) = view.params {
                    backend.dispatch(Sync { kernel, fast, slow });
                }
            });
        }
        Ok(due)
    }
}

/// Slow weights as the parameter, fast ones as the gradient. Between near neighbours, as these are, the difference is
/// exact, so that the result is rounded once.
#[derive(Clone, Copy)]
struct Follow {
    part: f32,
}

impl Kernel<0> for Follow {
    #[inline(always)]
    fn update<L: Lane>(self, slow: L, fast: L, []: [L; 0]) -> (Change<L>, [L; 0]) {
        (Change::To(slow + (fast - slow) * self.part), [])
    }
}

struct Sync<'a> {
    kernel: Follow,
    fast: &'a mut [f32],
    slow: &'a mut [f32],
}

impl Vectorized for Sync<'_> {
    type Output = ();

    /// Tile by tile, so that the fast weights are still in the cache when they are set back.
    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { kernel, fast, slow } = self;
        for (fast, slow) in fast.chunks_mut(TILE).zip(slow.chunks_mut(TILE)) {
            sweep(isa, kernel, Slices { params: slow, grads: fast, state: [], changes: &mut [] });
            fast.copy_from_slice(slow);
        }
    }
}
