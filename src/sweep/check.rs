//! What no rule may be, whoever wrote it.

use crate::{
    error::Error,
    formats::slices::MAX_STATE,
    rule::{
        limits::{MAX_OUTPUTS, MAX_SCALARS},
        slots::{Slot, full_slots},
    },
    sweep::erased::ErasedRule,
};

/// Refuses a step that no rule can take.
#[cfg_attr(not(feature = "std"), inline(always))]
pub(crate) fn check_rule<R: ErasedRule + ?Sized>(rule: &R, step: u64) -> Result<(), Error> {
    if step == 0 {
        return Err(Error::StepZero);
    }
    rule.check()?;
    let slots = rule.slots();
    let (named, full) = (slots.len(), full_slots(slots));
    let scalars = named - full;
    if slots.iter().skip(full).any(Slot::is_full) {
        return Err(Error::SlotOrder { rule: rule.name() });
    }
    if scalars > MAX_SCALARS {
        return Err(Error::TooManySlices { found: scalars, most: MAX_SCALARS });
    }
    if named > MAX_STATE {
        return Err(Error::TooManySlices { found: named, most: MAX_STATE });
    }
    let faulty = |taken| Error::KernelState { rule: rule.name(), named: full, taken };
    let (taken, measured) = rule.kernel_slots(step);
    if taken != full {
        return Err(faulty(taken));
    }
    // A measuring kernel takes the same slices, and up to so many outputs.
    let measured = measured.filter(|_| scalars > 0);
    match measured {
        Some(measured) if !(taken..=taken + MAX_OUTPUTS).contains(&measured) => Err(faulty(measured)),
        _ => Ok(()),
    }
}
