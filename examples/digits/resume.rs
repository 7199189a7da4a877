//! A training run that is interrupted, saved and resumed has the losses of an unbroken one, bit for bit.

use gradstep::{AnyRule, Optimizer, Param, ParamId, Rule, Saved, Workers};

use crate::{
    data::Data,
    network::{self, PARAMS},
};

const STEPS: usize = 30;
const BATCH: usize = 32;

struct Run {
    optimizer: Optimizer<AnyRule>,
    id: ParamId,
    params: Vec<f32>,
}

impl Run {
    fn new(rule: AnyRule) -> Self {
        let mut optimizer = Optimizer::new(rule).unwrap();
        let id = optimizer.register("network", PARAMS).unwrap();
        Self { optimizer, id, params: network::init(0) }
    }

    /// The losses of some steps on batches in order.
    fn train(&mut self, data: &Data, steps: std::ops::Range<usize>) -> Vec<u64> {
        let batches = data.train.chunks(BATCH).skip(steps.start).take(steps.len());
        batches
            .map(|batch| {
                let mut grads = [0.0; PARAMS];
                let loss = network::gradient(&self.params, batch.iter(), &mut grads);
                let mut list = [Param::new(self.id, &mut self.params, &grads)];
                let report = self.optimizer.step(&Workers::rayon(), &mut list).unwrap();
                assert_eq!(report.stepped, 1);
                loss.to_bits()
            })
            .collect()
    }

    /// A new run from what this one would write to a file.
    fn restart(&self, rule: AnyRule) -> Self {
        let mut run = Self::new(rule);
        run.params.clone_from(&self.params);
        for saved in self.optimizer.save() {
            let made_by = &saved.made_by.to_string();
            let state = &saved.state.collect::<Vec<_>>();
            run.optimizer.load(saved.name, &Saved { made_by, step: saved.step, state }).unwrap();
        }
        run
    }
}

#[test]
fn a_resumed_run_has_the_losses_of_an_unbroken_one() {
    let data = Data::load();
    for name in AnyRule::NAMES {
        let rule = AnyRule::named(name).unwrap();
        let mut unbroken = Run::new(rule);
        let mut first = Run::new(rule);
        let losses = unbroken.train(&data, 0..STEPS);
        let mut resumed_losses = first.train(&data, 0..STEPS / 2);
        let mut second = first.restart(rule);
        resumed_losses.extend(second.train(&data, STEPS / 2..STEPS));
        assert_eq!(losses, resumed_losses, "{}", rule.name());
        assert_eq!(unbroken.params, second.params, "{}", rule.name());
    }
}
