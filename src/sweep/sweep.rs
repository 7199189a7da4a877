//! The loop over slices, its first elements and its tail: once, for every kernel and every set of instructions.

use crate::{
    rule::rule::Kernel,
    simd::{lane::Isa, prefetch::prefetch},
    tensor::tensor::{Slices, no_slices},
};

/// From this length on the loop starts where `params` is aligned. An access that crosses a cache line costs a second
/// one, and a register of AVX-512 at any other place always does; on shorter slices the extra part costs more.
const ALIGN_FROM: usize = 2048;

/// From so many state slices on the loop asks for memory ahead. With four streams the processor's own prefetching falls
/// behind: out of cache, on Zen 4, AdamW takes 2 to 5 % less time with AVX-512, 9 to 12 % with AVX2, 15 % with SSE2. With
/// fewer streams it does better alone, by 1 to 13 %.
const PREFETCH_FROM: usize = 2;

/// Applies `kernel` to every element. All slices have the same length; elements beyond the shortest are left alone.
#[inline(always)]
pub(crate) fn sweep<I: Isa, K: Kernel<N>, const N: usize>(isa: I, kernel: K, mut slices: Slices<'_, N>) {
    let unaligned = before_alignment::<I>(slices.params);
    if unaligned > 0 {
        let (head, rest) = slices.split_at(unaligned);
        part(isa, kernel, head);
        slices = rest;
    }
    let tail = chunks(isa, kernel, slices);
    if !tail.params.is_empty() {
        part(isa, kernel, tail);
    }
}

/// How many elements there are before the first whole chunk at a multiple of its own size; 0 where it is not worth it.
#[inline(always)]
fn before_alignment<I: Isa>(params: &[f32]) -> usize {
    if params.len() < ALIGN_FROM { 0 } else { params.as_ptr().align_offset(size_of::<I::Chunk>()) % I::LANES }
}

/// Fewer elements than a chunk has.
#[inline(always)]
fn part<I: Isa, K: Kernel<N>, const N: usize>(isa: I, kernel: K, slices: Slices<'_, N>) {
    let Slices { params, grads, state, changes } = slices;
    let old_p = isa.load_part(params);
    let mut old = [old_p; N];
    for k in 0..N {
        old[k] = isa.load_part(state[k]);
    }
    let (change, new) = kernel.update(old_p, isa.load_part(grads), old);
    if !changes.is_empty() {
        isa.store_part(change.amount(old_p), changes);
    }
    isa.store_part(change.apply(old_p), params);
    for k in 0..N {
        isa.store_part(new[k], state[k]);
    }
}

/// All whole chunks; what comes back is the rest, shorter than one.
///
/// Plain loops over `k` instead of the combinators of arrays: these made up two thirds of the code that LLVM was given.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "`k` is a place in each of the arrays")]
fn chunks<I: Isa, K: Kernel<N>, const N: usize>(isa: I, kernel: K, slices: Slices<'_, N>) -> Slices<'_, N> {
    let (p, params) = I::chunks_mut(slices.params);
    let (g, grads) = I::chunks(slices.grads);
    let (c, changes) = I::chunks_mut(slices.changes);
    let mut n = p.len().min(g.len());
    let mut state = slices.state;
    let mut s: [&mut [I::Chunk]; N] = no_slices();
    for k in 0..N {
        (s[k], state[k]) = I::chunks_mut(core::mem::take(&mut state[k]));
        n = n.min(s[k].len());
    }
    // The compiler knows that `n` is within each slice, so that neither the cuts nor the loop can panic.
    let p = &mut p[..n];
    let g = &g[..n];
    for k in 0..N {
        s[k] = &mut core::mem::take(&mut s[k])[..n];
    }
    for i in 0..n {
        if N >= PREFETCH_FROM {
            prefetch(p, i);
            prefetch(g, i);
            for k in 0..N {
                prefetch(s[k], i);
            }
        }
        let old_p = isa.load(p[i]);
        let mut old = [old_p; N];
        for k in 0..N {
            old[k] = isa.load(s[k][i]);
        }
        let (change, new) = kernel.update(old_p, isa.load(g[i]), old);
        if let Some(c) = c.get_mut(i) {
            *c = isa.store(change.amount(old_p));
        }
        p[i] = isa.store(change.apply(old_p));
        for k in 0..N {
            s[k][i] = isa.store(new[k]);
        }
    }
    Slices { params, grads, state, changes }
}
