//! Numbers that all parameters of a group share: one estimate of a distance, one total of squares.
//!
//! The state of each parameter has a copy of them, so that a checkpoint needs nothing beside, and nothing else keeps them: what
//! is loaded, an older checkpoint too, is what the group goes on from. A step changes the copies of the parameters that it is
//! given. Here the others are brought up to date, so that a parameter which was left out goes on from what the group has found
//! meanwhile.

use wide::bytemuck;

use crate::{
    model::{ids::ParamId, optimizer::Optimizer},
    rule::{rule::Rule, sums::Scope},
    sweep::groups::SharedNumbers,
};

impl<R: Rule> Optimizer<R> {
    /// Before a step: finds the numbers that each group goes on from, those of the parameter that has taken the most steps.
    pub(super) fn find_shared(&mut self) {
        if !self.groups.iter().any(shares) {
            return;
        }
        self.shared.fill(SharedNumbers::default());
        for entry in self.entries.iter().filter(|entry| entry.step > 0 && shares(&self.groups[entry.group])) {
            let scalars = entry.scalars(bytemuck::cast_slice(&self.arena));
            let shared = &mut self.shared[entry.group];
            *shared = shared.newer(SharedNumbers { steps: entry.step, scalars });
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
    rule.measures().is_some_and(|measures| measures.scope() == Scope::Together)
}
