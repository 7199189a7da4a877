//! The loop over slices: written once, for every kernel and every set of instructions.
//!
//! 1. A long slice starts with the elements before the first aligned chunk. They go to a loop for narrower registers.
//! 2. Then come all whole chunks, each of which is as wide as a register. One turn of the loop loads a chunk of the parameters, of
//!    the gradients and of each state slice, calls the kernel, and stores what it returns.
//! 3. At the end a few elements may be left that fill no chunk. They are copied to a chunk of their own, which goes through the
//!    same loop, and back. Where a register has four lanes or fewer, they go to the loop for single elements instead.
//!
//! So the arithmetic of a kernel stands in each loop once. When it stood there three times (for the first elements, for the chunks,
//! for the last elements), the crate took one and a half times as long to compile. Everything that does not depend on the kernel
//! is in other functions, for the same reason: there are some 90 loops for each set of instructions.
//!
//! Every way gives the same bits, because each element is computed by the same operations.

use crate::{
    formats::slices::{MAX_STATE, Slices},
    rule::kernel::Kernel,
    simd::{
        isa::{Isa, Vectorized, compiled},
        prefetch::prefetch,
    },
    sweep::{
        chunks::{Chunks, cut},
        erased::Batch,
    },
};

/// From this length on the loop starts where `params` is aligned. An access that crosses a cache line costs a second
/// one, and a register of AVX-512 at any other place always does; on shorter slices the extra part costs more.
const ALIGN_FROM: usize = 8192;

/// From so many state slices on the loop asks for memory ahead. With four streams the processor's own prefetching falls
/// behind: out of cache, on Zen 4, AdamW takes 2 to 5 % less time with AVX-512, 9 to 12 % with AVX2, 15 % with SSE2. With
/// fewer streams it does better alone, by 1 to 13 %.
const PREFETCH_FROM: usize = 2;

/// The same for each slot of a kernel, written out. A loop over the slots is a loop within the loop over the elements until
/// LLVM unrolls it, and what it then finds out about the slices comes late and costs it more time. No kernel that is stepped has
/// more than 10 slots: 8 of state, and 2 that a measuring kernel puts out.
macro_rules! each_slot {
    ($k:ident < $N:ident $body:block) => {
        each_slot!(@ $k $N $body 0 1 2 3 4 5 6 7 8 9)
    };
    (@ $k:ident $N:ident $body:block $($slot:literal)*) => {
        $(if const { $slot < $N } {
            let $k = $slot;
            $body;
        })*
    };
}

/// Applies `kernel` to every element. All slices have the same length; elements beyond the shortest are left alone.
#[inline(always)]
pub(crate) fn sweep<I: Isa, K: Kernel<N>, const N: usize>(isa: I, kernel: K, mut slices: Slices<'_, N>) {
    let unaligned = before_alignment::<I>(slices.params);
    if unaligned > 0 {
        let (head, rest) = slices.split_at(unaligned);
        step_edge::<I, K, N>(kernel, head);
        slices = rest;
    }
    let (whole, tail) = cut::<I, N>(slices);
    if const { I::LANES > SHORT_TAIL } {
        step_with_tail(isa, kernel, whole, tail);
    } else {
        step_chunks(isa, kernel, whole);
        if !tail.params.is_empty() {
            step_edge::<I, K, N>(kernel, tail);
        }
    }
}

/// With so many lanes or fewer, the elements that fill no chunk are stepped one by one.
const SHORT_TAIL: usize = 4;

/// Steps whole chunks, then the elements that are left, fewer than a chunk has.
#[inline(always)]
fn step_with_tail<I: Isa, K: Kernel<N>, const N: usize>(
    isa: I,
    kernel: K,
    whole: Chunks<'_, I::Chunk, N>,
    tail: Slices<'_, N>,
) {
    let Slices { params, grads, state, changes } = tail;
    let mut p = [isa.zeros()];
    let mut g;
    let mut s = [p; N];
    let mut c = p;
    let mut chunks = whole;
    let mut at_tail = params.is_empty();
    loop {
        step_chunks(isa, kernel, chunks);
        if at_tail {
            break;
        }
        at_tail = true;
        p = [isa.store(isa.load_part(params))];
        g = [isa.store(isa.load_part(grads))];
        each_slot!(k < N { s[k] = [isa.store(isa.load_part(state[k]))] });
        chunks = Chunks {
            params: &mut p,
            grads: &g,
            state: s.each_mut().map(|chunk| &mut chunk[..]),
            changes: if changes.is_empty() { &mut [] } else { &mut c },
        };
    }
    if !params.is_empty() {
        isa.store_part(isa.load(p[0]), params);
        each_slot!(k < N { isa.store_part(isa.load(s[k][0]), state[k]) });
        isa.store_part(isa.load(c[0]), changes);
    }
}

/// Steps elements that fill no chunk with narrower registers. Their loop is the one that steps batches there: one of its own would
/// be compiled once more for every kernel. A batch has room for 8 slots; only the measuring kernel of a rule with 7 slots and two
/// outputs has more, and gets a loop of its own.
#[inline(always)]
fn step_edge<I: Isa, K: Kernel<N>, const N: usize>(kernel: K, slices: Slices<'_, N>) {
    if const { N <= MAX_STATE } {
        compiled(I::Narrower::default(), Sweeps { kernel, batch: Batch::Tile(slices.widened()) });
    } else {
        compiled(I::Narrower::default(), Edge { kernel, slices });
    }
}

/// Steps a batch.
pub(super) struct Sweeps<'b, 't, K, const N: usize> {
    pub(super) kernel: K,
    pub(super) batch: Batch<'b, 't>,
}

impl<K: Kernel<N>, const N: usize> Vectorized for Sweeps<'_, '_, K, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { kernel, mut batch } = self;
        // One call of `sweep` for both kinds of batches, so that the loop is compiled once.
        let mut place = 0;
        while let Some(slices) = batch.slices(place) {
            sweep(isa, kernel, slices);
            place += 1;
        }
    }
}

/// Elements that fill no chunk, for the loop of narrower registers.
struct Edge<'a, K, const N: usize> {
    kernel: K,
    slices: Slices<'a, N>,
}

impl<K: Kernel<N>, const N: usize> Vectorized for Edge<'_, K, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        sweep(isa, self.kernel, self.slices);
    }
}

/// Returns how many elements there are before the first whole chunk at a multiple of its own size; 0 where it is not worth
/// it.
#[inline(always)]
fn before_alignment<I: Isa>(params: &[f32]) -> usize {
    if I::LANES == 1 || params.len() < ALIGN_FROM {
        0
    } else {
        params.as_ptr().align_offset(size_of::<I::Chunk>()) % I::LANES
    }
}

/// Steps whole chunks.
#[inline(always)]
fn step_chunks<I: Isa, K: Kernel<N>, const N: usize>(isa: I, kernel: K, chunks: Chunks<'_, I::Chunk, N>) {
    let Chunks { params, grads, state: mut s, changes } = chunks;
    let mut n = params.len().min(grads.len());
    each_slot!(k < N { n = n.min(s[k].len()) });
    // The compiler knows that `n` is within each slice, so that neither the cuts nor the loop can panic.
    let p = &mut params[..n];
    let g = &grads[..n];
    each_slot!(k < N { s[k] = &mut core::mem::take(&mut s[k])[..n] });
    let mut i = 0;
    while i < n {
        if N >= PREFETCH_FROM {
            prefetch(p, i);
            prefetch(g, i);
            each_slot!(k < N { prefetch(s[k], i) });
        }
        let old_p = isa.load(p[i]);
        let mut old = [old_p; N];
        each_slot!(k < N { old[k] = isa.load(s[k][i]) });
        let (change, new) = kernel.update(old_p, isa.load(g[i]), old);
        if let Some(c) = changes.get_mut(i) {
            *c = isa.store(change.amount(old_p));
        }
        p[i] = isa.store(change.apply(old_p));
        each_slot!(k < N { s[k][i] = isa.store(new[k]) });
        i += 1;
    }
}
