//! Fork and join over ranges of one large slice: the only file that knows rayon.

use crate::{
    Backend, Error, Kernel, KernelVisitor, Prepare, Rule,
    step::{Slices, check, run},
};

/// A piece is cut at multiples of this many elements: a page of 4 KiB, so that no two threads write one cache line and
/// the hardware's prefetchers, which stop at pages, lose nothing.
const PIECE_UNIT: usize = 1024;

/// Below this many elements for each thread a fork costs more than it saves: measured, see the benchmark `par_step`.
const MIN_PIECE: usize = 32 * PIECE_UNIT;

/// [`step()`](crate::step()) on all threads of the current rayon pool, with the same bits. For one large slice: below
/// some 64 K elements it is the serial step.
///
/// # Errors
/// As [`step()`](crate::step()).
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
pub fn par_step<R: Rule>(
    rule: &R,
    step: u64,
    params: &mut [f32],
    grads: &[f32],
    state: &mut [&mut [f32]],
) -> Result<(), Error> {
    Backend::detect().par_step(rule, step, params, grads, state)
}

impl Backend {
    /// [`par_step`] on this backend.
    ///
    /// # Errors
    /// As [`step()`](crate::step()).
    pub fn par_step<R: Rule>(
        self,
        rule: &R,
        step: u64,
        params: &mut [f32],
        grads: &[f32],
        state: &mut [&mut [f32]],
    ) -> Result<(), Error> {
        check(rule, step, params, grads, state)?;
        rule.with_kernel(step, Parallel { backend: self, rule, params, grads, state })
    }
}

struct Parallel<'a, 'b, R> {
    backend: Backend,
    rule: &'a R,
    params: &'a mut [f32],
    grads: &'a [f32],
    state: &'a mut [&'b mut [f32]],
}

impl<R: Rule> KernelVisitor for Parallel<'_, '_, R> {
    type Output = Result<(), Error>;

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) -> Self::Output {
        let slices = Slices::new(self.rule, self.params, self.grads, self.state)?;
        let piece = piece_len(slices.params.len(), rayon::current_num_threads());
        fork(self.backend, kernel, self.rule.prepare(), piece, slices);
        Ok(())
    }
}

/// How many elements each of `threads` gets of `len`.
fn piece_len(len: usize, threads: usize) -> usize {
    len.div_ceil(threads).next_multiple_of(PIECE_UNIT).max(MIN_PIECE)
}

/// Spawns all pieces but the last, which the calling thread steps itself: a caller from outside the pool would
/// otherwise sleep until it is woken, which takes longer than many a step.
fn fork<K: Kernel<N>, const N: usize>(
    backend: Backend,
    kernel: K,
    prepare: Prepare,
    piece: usize,
    mut slices: Slices<'_, N>,
) {
    if slices.params.len() <= piece {
        return run(backend, kernel, prepare, slices);
    }
    rayon::in_place_scope(|scope| {
        while slices.params.len() > piece {
            let (first, rest) = slices.split_at(piece);
            scope.spawn(move |_| run(backend, kernel, prepare, first));
            slices = rest;
        }
        run(backend, kernel, prepare, slices);
    });
}

impl<'a, const N: usize> Slices<'a, N> {
    fn split_at(self, mid: usize) -> (Self, Self) {
        let (params, params_rest) = self.params.split_at_mut(mid);
        let (grads, grads_rest) = self.grads.split_at(mid);
        let mut halves = self.state.map(|slice| slice.split_at_mut(mid));
        let state = halves.each_mut().map(|(first, _)| core::mem::take(first));
        let state_rest = halves.map(|(_, rest)| rest);
        (
            Slices { params, grads, state },
            Slices { params: params_rest, grads: grads_rest, state: state_rest },
        )
    }
}
