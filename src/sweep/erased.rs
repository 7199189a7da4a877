//! A rule whose type is forgotten, so that the driver is compiled once, with the crate, instead of once more for each rule.

use core::fmt;

use crate::{
    formats::slices::{MAX_STATE, Slices},
    numbers::blocks::Blocks,
    rule::{described::DescribedRule, limits::MAX_SUMS, regularize::Prepare, sums::Sum},
    simd::backend::Backend,
    tensor::tensor::Tensor,
};

/// A rule without its type. Every [`Rule`](crate::Rule) is one.
pub trait ErasedRule: DescribedRule {
    /// Steps tensors with the rule's kernel.
    fn sweep(&self, step: u64, scalars: &[f64], with: SweepWith<'_>);

    /// Goes over a tensor with the rule's measuring kernel.
    fn measure(&self, step: u64, scalars: &[f64], with: MeasureWith<'_>);

    /// Returns how many state slices the kernel takes, and how many the measuring kernel does, if there is one.
    fn kernel_slots(&self, step: u64) -> (usize, Option<usize>);
}

/// What a kernel goes over in one call.
pub(crate) enum Batch<'b, 't> {
    /// Whole tensors, which have nothing to be converted.
    Tensors(&'b mut [Tensor<'t>]),
    /// A tensor or a part of one.
    Tile(Slices<'b, MAX_STATE>),
}

impl Batch<'_, '_> {
    /// The slices at this place, as a kernel with `N` slots takes them.
    #[inline(always)]
    pub(crate) fn slices<const N: usize>(&mut self, place: usize) -> Option<Slices<'_, N>> {
        match self {
            Self::Tensors(tensors) => tensors.get_mut(place)?.slices(),
            Self::Tile(tile) if place == 0 => tile.first(),
            Self::Tile(_) => None,
        }
    }
}

/// Has a kernel go over a batch.
pub(crate) type Sweep<'s> = &'s mut dyn FnMut(Batch<'_, '_>);

/// Gives batches to a sweep, as often as it likes.
pub(crate) type Feed<'f> = &'f mut dyn FnMut(Sweep<'_>);

/// What a step is taken with.
pub struct SweepWith<'f> {
    pub(crate) backend: Backend,
    pub(crate) prepare: Prepare,
    pub(crate) feed: Feed<'f>,
}

/// What a tensor is measured with.
pub struct MeasureWith<'f> {
    pub(crate) backend: Backend,
    pub(crate) prepare: Prepare,
    /// How many slots have an element for each parameter.
    pub(crate) full_slots: usize,
    pub(crate) sums: &'static [Sum],
    pub(crate) blocks: &'f mut [Blocks; MAX_SUMS],
    pub(crate) feed: Feed<'f>,
}

impl fmt::Debug for SweepWith<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepWith").field("prepare", &self.prepare).finish_non_exhaustive()
    }
}

impl fmt::Debug for MeasureWith<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasureWith").field("sums", &self.sums).finish_non_exhaustive()
    }
}
