//! From a rule's kernel to the loops over it: one for each form of regularisation that the kernel has a loop for.

use crate::{
    rule::{
        kernel::{Change, Kernel, KernelVisitor},
        regularize::{Prepare, Shrink},
    },
    simd::backend::Backend,
    sweep::{
        around::Around,
        erased::{Feed, SweepWith},
        forms::{Coupled, Decayed, Scaled},
        sweep::Sweeps,
    },
};

impl KernelVisitor for SweepWith<'_> {
    type Output = ();

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let Self { backend, prepare: Prepare { scale, shrink }, feed } = self;
        let around = |mixed| Around { backend, scale, mixed, places: places(kernel) };
        match shrink {
            Shrink::Nothing => step_in_loop(backend, Scaled { kernel, scale }, feed),
            Shrink::Decay(decay) => step_in_loop(backend, Decayed { kernel, scale, decay }, feed),
            // What stands in no branch of a `const` would be compiled for every kernel.
            Shrink::L2(l2) if const { K::L2_IN_LOOP } => {
                step_in_loop(backend, Coupled { kernel, scale, l2 }, feed);
            }
            Shrink::L2(_) | Shrink::Mixed(_) => step_around(around(shrink.mixed()), kernel, feed),
        }
    }
}

/// Takes a step without regularisation.
#[cfg(not(feature = "std"))]
pub(crate) struct Bare<'f>(pub(crate) SweepWith<'f>);

#[cfg(not(feature = "std"))]
impl KernelVisitor for Bare<'_> {
    type Output = ();

    #[inline(always)]
    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let SweepWith { backend, prepare: Prepare { scale, .. }, feed } = self.0;
        step_in_loop(backend, Scaled { kernel, scale }, feed);
    }
}

/// Takes a step with decoupled weight decay.
#[cfg(not(feature = "std"))]
pub(crate) struct Decaying<'f>(pub(crate) SweepWith<'f>);

#[cfg(not(feature = "std"))]
impl KernelVisitor for Decaying<'_> {
    type Output = ();

    #[inline(always)]
    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let SweepWith { backend, prepare: Prepare { scale, shrink }, feed } = self.0;
        if let Shrink::Decay(decay) = shrink {
            step_in_loop(backend, Decayed { kernel, scale, decay }, feed);
        }
    }
}

#[cfg_attr(not(feature = "std"), inline(always))]
fn step_in_loop<K: Kernel<N>, const N: usize>(backend: Backend, kernel: K, feed: Feed<'_>) {
    feed(&mut |batch| backend.dispatch(Sweeps { kernel, batch }));
}

fn step_around<K: Kernel<N>, const N: usize>(around: Around, kernel: K, feed: Feed<'_>) {
    let kernel = Scaled { kernel, scale: 1.0 };
    feed(&mut |batch| around.step(batch, &mut |batch| around.backend.dispatch(Sweeps { kernel, batch })));
}

/// Returns whether the kernel puts new parameters in the place of the old ones. That cannot depend on the element: a
/// kernel sees lanes, and has no way to ask what is in them.
fn places<K: Kernel<N>, const N: usize>(kernel: K) -> bool {
    let (change, _) = kernel.update(0.0_f32, 0.0, [0.0; N]);
    matches!(change, Change::To(_))
}
