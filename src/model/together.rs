//! Numbers that all parameters of a group share: one estimate of a distance, one total of squares.
//!
//! The state of each parameter has a copy of them, so that a checkpoint needs nothing beside, and nothing else keeps them: what
//! is loaded, an older checkpoint too, is what the group goes on from. A step changes the copies of the parameters that it is
//! given. Here the others are brought up to date, so that a parameter which was left out goes on from what the group has found
//! meanwhile.

use core::ops::Range;

use wide::bytemuck;

use crate::{
    model::{
        ids::ParamId,
        optimizer::{Entry, Optimizer},
    },
    rule::{
        rule::Rule,
        slots::{full_slots, has_only_full},
    },
    sweep::{
        kernels::Shared,
        measure::{MAX_SCALARS, Scope},
    },
};

impl<R: Rule> Optimizer<R> {
    /// Before a step: finds the numbers that each group goes on from, those of the parameter that has taken the most steps.
    pub(super) fn find_shared(&mut self) {
        if !self.groups.iter().any(shares) {
            return;
        }
        self.shared.fill(Shared::default());
        for entry in self.entries.iter().filter(|entry| entry.step > 0 && shares(&self.groups[entry.group])) {
            let scalars = entry.scalars(bytemuck::cast_slice(&self.arena));
            let shared = &mut self.shared[entry.group];
            *shared = shared.newer(Shared { steps: entry.step, scalars });
        }
    }

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
        let Self { entries, arena, .. } = self;
        let (group, numbers) = (entries[newest].group, entries[newest].lines_of_scalars());
        for entry in entries.iter().filter(|entry| entry.group == group && entry.step > 0) {
            arena.copy_within(numbers.clone(), entry.lines_of_scalars().start);
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

    /// Where the numbers about the whole tensor are: in a line each, at the end.
    fn lines_of_scalars(&self) -> Range<usize> {
        let scalars = self.slots.len() - full_slots(self.slots);
        self.lines.end - scalars..self.lines.end
    }
}
