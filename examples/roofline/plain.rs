//! The loop that moves the same bytes once more, without gradstep: the crate's own loop must not be a low roof.

use std::{array, hint::black_box, mem};

use rayon::prelude::*;

use crate::buffers::Slices;

/// Elements that one thread takes at a time.
const PART: usize = 1 << 16;

/// Adds the gradient to the parameter and to each state slice. With a copy, reads all gradients before that, as a pass that
/// clips must, and zeroes them.
pub fn add(threads: usize, slices: Slices<'_>) {
    if !slices.copy.is_empty() {
        black_box(read(threads, slices.grads));
    }
    match slices.state.len() {
        0 => add_to::<0>(threads, slices),
        1 => add_to::<1>(threads, slices),
        2 => add_to::<2>(threads, slices),
        3 => add_to::<3>(threads, slices),
        _ => add_to::<4>(threads, slices),
    }
}

fn read(threads: usize, floats: &[f32]) -> u32 {
    let all_of = |part: &[f32]| part.iter().fold(0, |bits, x| bits ^ x.to_bits());
    if threads == 1 { all_of(floats) } else { floats.par_chunks(PART).map(all_of).reduce(|| 0, |a, b| a ^ b) }
}

fn add_to<const N: usize>(threads: usize, slices: Slices<'_>) {
    let Slices { params, grads, state, copy } = slices;
    let mut state = state.into_iter();
    let state = array::from_fn(|_| state.next().unwrap_or_default());
    let streams = Streams::<N> { params, grads, state, copy };
    if threads == 1 { widest(streams) } else { share(streams) }
}

struct Streams<'a, const N: usize> {
    params: &'a mut [f32],
    grads: &'a mut [f32],
    state: [&'a mut [f32]; N],
    copy: &'a mut [u16],
}

impl<const N: usize> Streams<'_, N> {
    fn halves(self) -> (Self, Self) {
        let mid = self.params.len() / 2;
        let (params, params_rest) = self.params.split_at_mut(mid);
        let (grads, grads_rest) = self.grads.split_at_mut(mid);
        let mut halves = self.state.map(|slice| slice.split_at_mut(mid));
        let state = halves.each_mut().map(|(first, _)| mem::take(first));
        let state_rest = halves.map(|(_, rest)| rest);
        let (copy, copy_rest) = self.copy.split_at_mut(mid.min(self.copy.len()));
        let rest = Self { params: params_rest, grads: grads_rest, state: state_rest, copy: copy_rest };
        (Self { params, grads, state, copy }, rest)
    }

    #[inline(always)]
    fn add(self) {
        let n = self.params.len();
        let (params, grads) = (&mut self.params[..n], &mut self.grads[..n]);
        let mut state = self.state.map(|slice| &mut slice[..n]);
        for i in 0..n {
            params[i] += grads[i];
            for slice in &mut state {
                slice[i] += grads[i];
            }
            if let Some(copy) = self.copy.get_mut(i) {
                *copy = (params[i].to_bits() >> 16) as u16;
                grads[i] = 0.0;
            }
        }
    }
}

/// Halves until each part is small, which idle threads steal.
fn share<const N: usize>(streams: Streams<'_, N>) {
    if streams.params.len() <= PART {
        widest(streams);
    } else {
        let (first, second) = streams.halves();
        rayon::join(|| share(first), || share(second));
    }
}

/// Runs the loop as compiled for the best instructions of the machine.
#[cfg(target_arch = "x86_64")]
fn widest<const N: usize>(streams: Streams<'_, N>) {
    pulp::Arch::new().dispatch(streams);
}

#[cfg(target_arch = "x86_64")]
impl<const N: usize> pulp::NullaryFnOnce for Streams<'_, N> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.add();
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn widest<const N: usize>(streams: Streams<'_, N>) {
    streams.add();
}
