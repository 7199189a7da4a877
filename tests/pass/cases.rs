//! Random passes over random models.

use gradstep::{AnyRule, Join, PassReport, Rule as _, Scope, Tensor, Workers, full_slots};
use testkit::{Random, configurations_of, elementwise};

use crate::{
    model::{Owned, Padded, with_tensors},
    parts::Parts,
};

#[derive(Clone, Debug)]
pub struct Case {
    pub parts: Parts,
    pub rule: AnyRule,
    pub step: u64,
    pub model: Vec<Owned>,
}

impl Case {
    /// Up to four tensors of lengths that `len` draws.
    pub fn random(random: &mut Random, len: impl Fn(&mut Random) -> usize) -> Self {
        let rule = any_rule(random);
        Self::of(Parts::random(random), rule, random, len)
    }

    pub fn of(parts: Parts, rule: AnyRule, random: &mut Random, len: impl Fn(&mut Random) -> usize) -> Self {
        let tensors = 1 + random.below(4);
        let mut tensor = || {
            let len = len(random);
            Owned::random(&parts, &rule, len, random)
        };
        let mut model: Vec<_> = (0..tensors).map(|_| tensor()).collect();
        let shared = shared_numbers(&rule, &model[0]);
        model.iter_mut().for_each(|tensor| share_numbers(&rule, &shared, tensor));
        Self { parts, rule, step: 1 + random.below(12) as u64, model }.honoured().started()
    }

    /// With the state that comes before a first step, if that is what comes next.
    pub fn started(mut self) -> Self {
        if self.step == 1 {
            with_tensors(&mut self.model, |mut tensors| {
                tensors.iter_mut().for_each(|tensor| tensor.init_state(&self.rule).unwrap());
            });
        }
        self
    }

    /// The same with other tensors.
    pub fn with_model(&self, model: Vec<Owned>) -> Self {
        Self { model, ..self.clone() }.honoured()
    }

    /// Without parts that are refused because no tensor has what they take.
    pub fn honoured(mut self) -> Self {
        if self.model.iter().all(|tensor| tensor.rows.is_none()) {
            (self.parts.centralize, self.parts.max_norm) = (false, None);
        }
        if self.model.iter().all(|tensor| tensor.average.is_none()) {
            self.parts.average = None;
        }
        self
    }

    /// Makes some gradients not finite, and tells in which tensors. With a small loss scale, or with micro-batches, all that
    /// is given may be finite.
    pub fn poison(&mut self, random: &mut Random) -> Vec<bool> {
        let overflow_by_unscaling = random.below(3) == 0;
        if overflow_by_unscaling {
            self.parts.loss_scale = 1e-3;
        }
        let mut poisoned = Vec::new();
        for tensor in &mut self.model {
            let now = tensor.len() > 0 && random.below(2) == 0;
            if now {
                match random.below(3) {
                    0 if overflow_by_unscaling => tensor.overflow(f32::MAX / 100.0, 0, random),
                    1 if !self.parts.zero_grads => tensor.overflow(f32::MAX, 1, random),
                    _ => tensor.poison(random),
                }
            }
            poisoned.push(now);
        }
        poisoned
    }

    /// Takes the step, and asks afterwards.
    pub fn run<T>(
        &self,
        workers: &Workers<impl Join>,
        model: &mut [Owned],
        ask: impl FnOnce(&PassReport, &[Tensor<'_>]) -> T,
    ) -> T {
        with_tensors(model, |mut tensors| {
            let report = workers.step_pass(&self.parts.pass(), &self.rule, self.step, &mut tensors).unwrap();
            ask(&report, &tensors)
        })
    }

    /// What an assertion says where it fails.
    pub fn label(&self) -> String {
        let shapes: Vec<_> = self.model.iter().map(|tensor| (tensor.len(), tensor.rows)).collect();
        format!("{:?}\n{:?} at step {}\n(length, rows): {shapes:?}", self.parts, self.rule, self.step)
    }
}

/// The numbers that a rule shares among all tensors, as one of them has them; none for other rules.
pub fn shared_numbers(rule: &AnyRule, tensor: &Owned) -> Vec<Padded<f32>> {
    let full = full_slots(rule.slots());
    if rule.measures().is_some_and(|measures| measures.scope() == Scope::Together) {
        tensor.state[full..].to_vec()
    } else {
        Vec::new()
    }
}

/// Gives them to another tensor.
pub fn share_numbers(rule: &AnyRule, shared: &[Padded<f32>], tensor: &mut Owned) {
    let full = full_slots(rule.slots());
    tensor.state[full..].iter_mut().zip(shared).for_each(|(held, shared)| held.clone_from(shared));
}

/// For comparison, in which two norms that are NaN are the same.
pub fn shown(report: &PassReport) -> String {
    format!("{report:?}")
}

/// Any rule in any configuration.
pub fn any_rule(random: &mut Random) -> AnyRule {
    rule_of(AnyRule::NAMES, random)
}

/// One that steps element by element, so that shards can be stepped.
pub fn elementwise_rule(random: &mut Random) -> AnyRule {
    let names: Vec<_> = elementwise().collect();
    let rule = rule_of(&names, random);
    assert_eq!(full_slots(rule.slots()), rule.slots().len());
    rule
}

fn rule_of(names: &[&str], random: &mut Random) -> AnyRule {
    let configurations = configurations_of(names[random.below(names.len())]);
    configurations[random.below(configurations.len())].rule
}

/// Nothing, single elements, tails of registers and of tiles, up to two blocks.
pub fn any_len(random: &mut Random) -> usize {
    match random.below(8) {
        0 => random.below(3),
        1..=4 => random.below(80),
        5 => 1020 + random.below(10),
        6 => 4090 + random.below(12),
        _ => random.below(8193),
    }
}
