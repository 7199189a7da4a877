//! Room for what a tile needs beside the slices of its tensor.

use crate::formats::tiles::{TILE, within, within_mut};

/// Elements of a tile that telemetry looks at: all that it looks at is to stay in the nearest cache. With 2048 a pass took 1
/// to 8 % longer on Sapphire Rapids.
pub(super) const WATCHED: usize = if TILE < 512 { TILE } else { 512 };

/// Room for what a tile needs beside the tensor's own slices: one for each thread.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) grads: LazyBuffer<TILE>,
    pub(super) params: LazyBuffer<TILE>,
    pub(super) changes: LazyBuffer<WATCHED>,
    pub(super) old_params: LazyBuffer<WATCHED>,
    pub(super) old_momentum: LazyBuffer<WATCHED>,
}

/// Room for so many elements, which costs nothing until it is used.
#[derive(Default)]
pub(super) struct LazyBuffer<const LEN: usize>(Option<[f32; LEN]>);

impl<const LEN: usize> LazyBuffer<LEN> {
    /// The first elements of it; what they hold is left over from before.
    pub(super) fn first(&mut self, len: usize) -> &mut [f32] {
        if len == 0 { &mut [] } else { within_mut(self.0.get_or_insert([0.0; LEN]), &(0..len)) }
    }

    /// Returns what was put there.
    pub(super) fn held(&self, len: usize) -> &[f32] {
        self.0.as_ref().map_or(&[], |room| within(room, &(0..len)))
    }
}
