//! The common forms of regularisation as a part of a kernel, so that they cost no trip through memory of their own.
//!
//! Every kernel has a loop with decay. One with L2 have those that say so ([`Kernel::L2_IN_LOOP`]).

use crate::{
    rule::kernel::{Change, Kernel},
    simd::lane::Lane,
};

/// The gradient is scaled. A multiplication by one is exact, and its cost was not measurable beside a kernel's memory traffic.
#[derive(Clone, Copy)]
pub(crate) struct Scaled<K> {
    pub(crate) kernel: K,
    pub(crate) scale: f32,
}

impl<K: Kernel<N>, const N: usize> Kernel<N> for Scaled<K> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        self.kernel.update(p, g * self.scale, state)
    }
}

/// The gradient is scaled, and L2 regularisation is added to it.
#[derive(Clone, Copy)]
pub(crate) struct Coupled<K> {
    pub(crate) kernel: K,
    pub(crate) scale: f32,
    pub(crate) l2: f32,
}

impl<K: Kernel<N>, const N: usize> Kernel<N> for Coupled<K> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        self.kernel.update(p, g * self.scale + p * self.l2, state)
    }
}

/// The gradient is scaled, and the parameter decays beside the kernel's change.
#[derive(Clone, Copy)]
pub(crate) struct Decayed<K> {
    pub(crate) kernel: K,
    pub(crate) scale: f32,
    pub(crate) decay: f32,
}

impl<K: Kernel<N>, const N: usize> Kernel<N> for Decayed<K> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        let decay = p * self.decay;
        match self.kernel.update(p - decay, g * self.scale, state) {
            (Change::By(change), state) => (Change::By(change + decay), state),
            placed => placed,
        }
    }
}
