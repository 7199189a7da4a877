//! The loop over slices and its tail: once, for every kernel and every set of instructions.

use crate::{Kernel, lane::Isa, tensor::Slices};

/// Applies `kernel` to every element. All slices have the same length; elements beyond the shortest are left alone.
#[inline(always)]
pub(crate) fn sweep<I: Isa, K: Kernel<N>, const N: usize>(
    isa: I,
    kernel: K,
    Slices { params, grads, state }: Slices<'_, N>,
) {
    let (p, p_tail) = I::chunks_mut(params);
    let (g, g_tail) = I::chunks(grads);
    let mut state = state.map(|slice| I::chunks_mut(slice));

    // The compiler knows that `n` is within each slice, so that neither the cuts nor the loop can panic.
    let n = state.iter().fold(p.len().min(g.len()), |n, (s, _)| n.min(s.len()));
    let p = &mut p[..n];
    let g = &g[..n];
    let s = state.each_mut().map(|(s, _)| &mut s[..n]);
    for i in 0..n {
        let old = core::array::from_fn(|k| isa.load(s[k][i]));
        let old_p = isa.load(p[i]);
        let (change, new) = kernel.update(old_p, isa.load(g[i]), old);
        p[i] = isa.store(change.apply(old_p));
        for k in 0..N {
            s[k][i] = isa.store(new[k]);
        }
    }

    if !p_tail.is_empty() {
        let old = state.each_ref().map(|(_, tail)| isa.load_part(tail));
        let old_p = isa.load_part(p_tail);
        let (change, new) = kernel.update(old_p, isa.load_part(g_tail), old);
        isa.store_part(change.apply(old_p), p_tail);
        for ((_, tail), new) in state.iter_mut().zip(new) {
            isa.store_part(new, tail);
        }
    }
}
