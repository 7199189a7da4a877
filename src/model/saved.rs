//! The state of a parameter, as it is saved and loaded.

use crate::{
    error::Error,
    model::arena::Entry,
    name::Name,
    rule::{rule::Rule, state_kind::StateKind},
};

/// The state of one parameter, as a checkpoint has it.
#[derive(Clone, Debug)]
pub struct SavedParam<'a, I> {
    /// The parameter's name.
    pub name: &'a str,
    /// What made the state: written out it says what [`Saved::made_by`] has to say.
    pub made_by: StateKind,
    /// The number of steps that it has taken.
    pub step: u64,
    /// Its state slices under their names.
    pub state: I,
}

/// The state of one parameter, to be [loaded](crate::Optimizer::load).
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// Which rule made it, under which convention: [`SavedParam::made_by`], written out. For state from elsewhere, what its
    /// numbers mean: `"momentum/lr-inside-negative"`.
    pub made_by: &'a str,
    /// The number of steps that the parameter has taken.
    pub step: u64,
    /// Its state slices under their names.
    pub state: &'a [(&'a str, &'a [f32])],
}

/// Refuses saved state that is not the state of this parameter.
pub(super) fn check_saved<R: Rule>(entry: &Entry, rule: &R, saved: &Saved<'_>) -> Result<(), Error> {
    let (name, slots, needed) = (Name::of(&entry.name), entry.slots, StateKind::of(rule));
    if !needed.is_written(saved.made_by) {
        return Err(Error::OtherSaved { found: Name::of(saved.made_by), needed });
    }
    let state = saved.state;
    let refusal = |slice: &str| Error::SavedState { param: name, slice: Name::of(slice), expected: slots };
    for (place, (slice, values)) in state.iter().enumerate() {
        let twice = state[..place].iter().any(|(before, _)| before == slice);
        let slot = slots.iter().find(|slot| slot.name == *slice).filter(|_| !twice);
        let slot = slot.ok_or_else(|| refusal(slice))?;
        let (expected, found) = (slot.len(entry.len), values.len());
        if found != expected {
            return Err(Error::TensorLength { tensor: name, slice: slot.name, expected, found });
        }
    }
    let missing = slots.iter().find(|slot| !state.iter().any(|(slice, _)| *slice == slot.name));
    missing.map_or(Ok(()), |slot| Err(refusal(slot.name)))
}
