//! One tensor on the calling thread, without what lists and passes need.
//!
//! This is all that firmware links for a step. It is generic over the rule there, so that what is known of the rule is folded into
//! its loop; with `std` the rule's type is forgotten, and this is compiled once.

use crate::{
    error::Error,
    formats::slices::Slices,
    simd::backend::Backend,
    sweep::{
        check::check_rule,
        erased::{Batch, ErasedRule, Sweep, SweepWith},
        measure::settle_alone,
    },
    tensor::state::{Layout, check_first_state, check_length},
};

/// Checks and steps a tensor.
#[cfg_attr(not(feature = "std"), inline(always))]
pub(crate) fn step_alone<R: ErasedRule + ?Sized>(
    backend: Backend,
    rule: &R,
    step: u64,
    params: &mut [f32],
    grads: &[f32],
    state: &mut [&mut [f32]],
) -> Result<(), Error> {
    check_rule(rule, step)?;
    let found = state.len();
    let mut slices = Slices::of(params, grads, state)?;
    let layout = Layout::of(rule);
    check_length("grads", slices.len(), slices.grads.len())?;
    layout.check_count(found)?;
    layout.check_lengths(slices.len(), slices.state.iter().map(|slice| slice.len()))?;
    if step == 1 {
        check_first_state(rule, &slices.state, |i| slices.params.get(i).copied().unwrap_or_default())?;
    }
    let settled = settle_alone(backend, rule, step, &mut slices);
    let feed = &mut |sweep: Sweep<'_>| sweep(Batch::Tile(slices.reborrow()));
    rule.sweep(step, &settled, SweepWith { backend, prepare: rule.prepare(), feed });
    Ok(())
}
