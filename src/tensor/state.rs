//! The state slices of a tensor: whether they fit a rule, what they hold before the first step, and their numbers about the whole
//! tensor.

use crate::{
    error::Error,
    formats::slices::MAX_STATE,
    rule::{
        described::DescribedRule,
        limits::MAX_SCALARS,
        slots::{Extent, Initial, Slot},
    },
};

/// What state a rule asks for, looked up once for all tensors of a model.
pub(crate) struct Layout {
    pub(crate) rule: &'static str,
    pub(crate) slots: &'static [Slot],
}

impl Layout {
    /// For tensors whose state an optimizer keeps.
    #[cfg(feature = "alloc")]
    pub(crate) const KEPT_ELSEWHERE: Self = Self { rule: "the optimizer", slots: &[] };

    pub(crate) fn of<R: DescribedRule + ?Sized>(rule: &R) -> Self {
        Self { rule: rule.name(), slots: rule.slots() }
    }

    /// Returns whether there are as many slices as the rule has slots.
    pub(crate) fn check_count(&self, found: usize) -> Result<(), Error> {
        let Self { rule, slots: expected } = *self;
        if found == expected.len() { Ok(()) } else { Err(Error::StateCount { rule, expected, found }) }
    }

    /// Returns whether slices of these lengths fit so many parameters.
    pub(crate) fn check_lengths(
        &self,
        params: usize,
        found: impl Iterator<Item = usize>,
    ) -> Result<(), Error> {
        let mut slots = self.slots.iter().zip(found);
        slots.try_for_each(|(slot, found)| check_length(slot.name, slot.len(params), found))
    }
}

pub(crate) fn check_length(slice: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { slice, expected, found }) }
}

/// Returns what the state holds about the whole tensor, then zeros.
pub(crate) fn read_scalars(slots: &[Slot], state: &[&mut [f32]; MAX_STATE]) -> [f64; MAX_SCALARS] {
    let mut scalars = [0.0; MAX_SCALARS];
    let held = slots.iter().zip(state).filter(|(slot, _)| !slot.is_full());
    scalars.iter_mut().zip(held).for_each(|(scalar, (slot, slice))| *scalar = slot.read(slice));
    scalars
}

/// Puts them there.
pub(crate) fn write_scalars(
    slots: &[Slot],
    state: &mut [&mut [f32]; MAX_STATE],
    scalars: [f64; MAX_SCALARS],
) {
    let held = slots.iter().zip(state).filter(|(slot, _)| !slot.is_full());
    held.zip(scalars).for_each(|((slot, slice), scalar)| slot.write(slice, scalar));
}

/// Writes the state that comes before a first step. What the caller fills is left alone.
pub(crate) fn write_first_state<R: DescribedRule + ?Sized>(
    rule: &R,
    state: &mut [&mut [f32]],
    param: impl Fn(usize) -> f32,
) {
    for (place, (slot, slice)) in rule.slots().iter().zip(state).enumerate() {
        let elements = slice.iter_mut().enumerate();
        match slot.initial {
            Initial::Caller => {}
            Initial::Param => elements.for_each(|(i, x)| *x = param(i)),
            Initial::Zero | Initial::Rule => {
                let initial = initial(rule, place, slot);
                elements.for_each(|(i, x)| *x = if i == 0 || slot.is_full() { initial } else { 0.0 });
            }
        }
    }
}

/// The number that a slot starts from which starts from a number.
fn initial<R: DescribedRule + ?Sized>(rule: &R, place: usize, slot: &Slot) -> f32 {
    if slot.initial == Initial::Rule { rule.initial(place) } else { 0.0 }
}

/// Returns whether the state is what [`write_first_state`] writes.
pub(crate) fn check_first_state<R: DescribedRule + ?Sized>(
    rule: &R,
    state: &[&mut [f32]],
    param: impl Fn(usize) -> f32,
) -> Result<(), Error> {
    for (place, (slot, slice)) in rule.slots().iter().zip(state).enumerate() {
        let number = initial(rule, place, slot);
        let expected = |i| match slot.initial {
            Initial::Param => param(i),
            _ if i == 0 || slot.extent != Extent::Total => number,
            _ => 0.0,
        };
        let differs = |(i, x): &(usize, &f32)| **x != expected(*i) && !(x.is_nan() && expected(*i).is_nan());
        let wrong = slice.iter().enumerate().find(differs).filter(|_| slot.initial != Initial::Caller);
        if let Some((element, found)) = wrong {
            let (rule, slice, expected) = (rule.name(), slot.name, expected(element));
            return Err(Error::FirstState { tensor: None, rule, slice, element, expected, found: *found });
        }
    }
    Ok(())
}
