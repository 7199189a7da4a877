//! Numbers that all parameters of a group share: one estimate of a distance, one total of squares.
//!
//! The state of each parameter has a copy of them, so that a checkpoint needs nothing beside. A step changes the copies of
//! the parameters that it is given. Here the others are brought up to date, so that a parameter which was left out goes on
//! from what the group has found meanwhile.

use wide::bytemuck;

use super::{Entry, Optimizer, ParamId};
use crate::{
    Rule, Scope,
    run::Shared,
    slot::{full_slots, has_only_full},
    whole::MAX_SCALARS,
};

impl<R: Rule> Optimizer<R> {
    /// After a step: copies what each group shares from one of the stepped parameters to all that have taken a step.
    pub(super) fn share_numbers(&mut self, stepped: impl Iterator<Item = ParamId> + Clone) {
        for group in 0..self.groups.len() {
            let mut of_group =
                stepped.clone().map(|id| id.place).filter(|&place| self.entries[place].group == group);
            if let Some(newest) = of_group.next().filter(|_| shares(&self.groups[group])) {
                self.share_numbers_of(newest);
            }
        }
    }

    fn share_numbers_of(&mut self, newest: usize) {
        let Self { entries, arena, shared, .. } = self;
        let arena: &mut [f32] = bytemuck::cast_slice_mut(arena);
        let (group, scalars) = (entries[newest].group, entries[newest].scalars(arena));
        let others = entries.iter().filter(|entry| entry.group == group && entry.step > 0);
        let steps = others.clone().map(|entry| entry.step).max().unwrap_or(0);
        others.for_each(|entry| entry.set_scalars(arena, scalars));
        shared[group] = Shared { steps, scalars };
    }

    /// After a load: the group goes on from the newest numbers that any of its parameters has.
    pub(super) fn learn_shared(&mut self, place: usize) {
        let entry = &self.entries[place];
        if entry.step > 0 && shares(&self.groups[entry.group]) {
            let loaded =
                Shared { steps: entry.step, scalars: entry.scalars(bytemuck::cast_slice(&self.arena)) };
            let shared = &mut self.shared[entry.group];
            *shared = loaded.newer(*shared);
        }
    }
}

fn shares(rule: &impl Rule) -> bool {
    rule.scope() == Scope::Together && !has_only_full(rule.slots())
}

impl Entry {
    fn scalars(&self, arena: &[f32]) -> [f64; MAX_SCALARS] {
        let held = self.slots.iter().zip(self.slices(&arena[self.elements()])).skip(full_slots(self.slots));
        let mut scalars = [0.0; MAX_SCALARS];
        scalars.iter_mut().zip(held).for_each(|(scalar, (slot, slice))| *scalar = slot.read(slice));
        scalars
    }

    fn set_scalars(&self, arena: &mut [f32], scalars: [f64; MAX_SCALARS]) {
        let slices = self.slices_mut(&mut arena[self.elements()]);
        let held = self.slots.iter().zip(slices).skip(full_slots(self.slots));
        held.zip(scalars).for_each(|((slot, slice), scalar)| slot.write(slice, scalar));
    }
}
