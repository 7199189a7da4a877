//! The rare forms of regularisation, around a kernel's loop instead of in it.
//!
//! Each tile takes three steps, while it stays in the nearest cache:
//!
//! 1. the gradient as the kernel is to see it goes to a buffer, and so does the parameter where decay comes first;
//! 2. the kernel's own loop goes over the buffers and the state;
//! 3. the parameter is made of the kernel's change, of decay and of the threshold.
//!
//! Where only the gradient is changed, the kernel's loop steps the parameters themselves and the third step falls away.
//!
//! These two loops are compiled once for each set of instructions. As a part of the kernels' loops, where they were once,
//! they took two thirds of the time in which the crate compiles.

use crate::{
    formats::{
        slices::{MAX_STATE, Slices},
        tiles::{TILE, pieces, within_mut},
    },
    rule::{
        kernel::{Change, Kernel},
        regularize::Mixed,
    },
    simd::{
        backend::Backend,
        isa::{Isa, Vectorized},
        lane::Lane,
    },
    sweep::{
        erased::{Batch, Sweep},
        sweep::sweep,
    },
    tensor::tensor::Tensor,
};

/// Elements of a tile: all of its slices and buffers are to stay in the nearest cache.
const AROUND: usize = if TILE < 1024 { TILE } else { 1024 };

/// What is done around a kernel.
#[derive(Clone, Copy)]
pub(crate) struct Around {
    pub(crate) backend: Backend,
    pub(crate) scale: f32,
    pub(crate) mixed: Mixed,
    /// True if the kernel puts new parameters in the place of the old ones.
    pub(crate) places: bool,
}

impl Around {
    /// Steps a batch; `sweep` is the kernel's loop.
    pub(crate) fn step(&self, batch: Batch<'_, '_>, sweep: Sweep<'_>) {
        match batch {
            Batch::Tensors(tensors) => {
                for slices in tensors.iter_mut().filter_map(Tensor::slices) {
                    self.step_slices(slices, sweep);
                }
            }
            Batch::Tile(slices) => self.step_slices(slices, sweep),
        }
    }

    fn step_slices(&self, mut slices: Slices<'_, MAX_STATE>, sweep: Sweep<'_>) {
        let only_gradient = self.mixed.only_changes_gradient();
        for tile in pieces(&(0..slices.len()), AROUND) {
            let tile = slices.part(&tile);
            if only_gradient {
                self.step_in_place(tile, sweep);
            } else {
                self.step_in_buffers(tile, sweep);
            }
        }
    }

    fn step_in_place(&self, tile: Slices<'_, MAX_STATE>, sweep: Sweep<'_>) {
        let mut buffer = Buffer::ZEROS;
        let seen_grads = buffer.first(tile.len());
        let Slices { params, grads, state, changes } = tile;
        self.sweep(Before(*self), Slices { params: seen_grads, grads, state: [params], changes: &mut [] });
        sweep(Batch::Tile(Slices { params, grads: seen_grads, state, changes }));
    }

    fn step_in_buffers(&self, tile: Slices<'_, MAX_STATE>, sweep: Sweep<'_>) {
        let mut buffers = [Buffer::ZEROS; 3];
        let [seen_grads, new, by] = buffers.each_mut().map(|buffer| buffer.first(tile.len()));
        let Slices { params, grads, state, changes } = tile;
        self.sweep(
            Before(*self),
            Slices { params: seen_grads, grads, state: [params, new], changes: &mut [] },
        );
        sweep(Batch::Tile(Slices { params: new, grads: seen_grads, state, changes: by }));
        self.sweep(After(*self), Slices { params, grads: seen_grads, state: [new, by], changes });
    }

    fn sweep<K: Kernel<N>, const N: usize>(&self, kernel: K, slices: Slices<'_, N>) {
        self.backend.dispatch(OneTile { kernel, slices });
    }
}

/// Room for a tile, at the start of a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Buffer([f32; AROUND]);

impl Buffer {
    const ZEROS: Self = Self([0.0; AROUND]);

    fn first(&mut self, len: usize) -> &mut [f32] {
        within_mut(&mut self.0, &(0..len))
    }
}

/// Puts the gradient that the kernel is to see in the place of the "parameter", and in the second slot, where there is one, the
/// parameter that it is to see. The first slot holds the parameters, which stay.
#[derive(Clone, Copy)]
struct Before(Around);

impl Kernel<1> for Before {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [p]: [L; 1]) -> (Change<L>, [L; 1]) {
        let Around { scale, mixed, .. } = self.0;
        (Change::To(mixed.gradient(p, g * scale)), [p])
    }
}

impl Kernel<2> for Before {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [p, _]: [L; 2]) -> (Change<L>, [L; 2]) {
        let Around { scale, mixed, .. } = self.0;
        (Change::To(mixed.gradient(p, g * scale)), [p, mixed.seen(p)])
    }
}

/// Makes the new parameter of what the kernel put in its place, or of the kernel's change.
#[derive(Clone, Copy)]
struct After(Around);

impl Kernel<2> for After {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [new, by]: [L; 2]) -> (Change<L>, [L; 2]) {
        let change = if self.0.places { Change::To(new) } else { Change::By(by) };
        (Change::To(self.0.mixed.after(p, g, change)), [new, by])
    }
}

struct OneTile<'t, K, const N: usize> {
    kernel: K,
    slices: Slices<'t, N>,
}

impl<K: Kernel<N>, const N: usize> Vectorized for OneTile<'_, K, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        sweep(isa, self.kernel, self.slices);
    }
}
