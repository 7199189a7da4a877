//! The loop that moves the same bytes once more, without gradstep: the crate's own loop must not be a low roof.

use std::{array, mem};

/// Elements that one thread takes at a time.
const PART: usize = 1 << 16;

/// Adds the gradient to the parameter and to each state slice.
pub fn add(threads: usize, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    match state.len() {
        0 => add_to::<0>(threads, params, grads, state),
        1 => add_to::<1>(threads, params, grads, state),
        2 => add_to::<2>(threads, params, grads, state),
        3 => add_to::<3>(threads, params, grads, state),
        _ => add_to::<4>(threads, params, grads, state),
    }
}

fn add_to<const N: usize>(threads: usize, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    let mut slices = state.iter_mut();
    let state = array::from_fn(|_| slices.next().map_or(&mut [][..], |slice| slice));
    let streams = Streams::<N> { params, grads, state };
    if threads == 1 { widest(streams) } else { share(streams) }
}

struct Streams<'a, const N: usize> {
    params: &'a mut [f32],
    grads: &'a [f32],
    state: [&'a mut [f32]; N],
}

impl<const N: usize> Streams<'_, N> {
    fn halves(self) -> (Self, Self) {
        let mid = self.params.len() / 2;
        let (params, params_rest) = self.params.split_at_mut(mid);
        let (grads, grads_rest) = self.grads.split_at(mid);
        let mut halves = self.state.map(|slice| slice.split_at_mut(mid));
        let state = halves.each_mut().map(|(first, _)| mem::take(first));
        let state_rest = halves.map(|(_, rest)| rest);
        let rest = Self { params: params_rest, grads: grads_rest, state: state_rest };
        (Self { params, grads, state }, rest)
    }

    #[inline(always)]
    fn add(self) {
        let n = self.params.len();
        let (params, grads) = (&mut self.params[..n], &self.grads[..n]);
        let mut state = self.state.map(|slice| &mut slice[..n]);
        for i in 0..n {
            params[i] += grads[i];
            for slice in &mut state {
                slice[i] += grads[i];
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
