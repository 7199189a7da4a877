//! Trains the network with one rule.

use std::time::Duration;

use gradstep::{
    AnyRule, Error, Rule as _,
    train::{Batch, Epoch, Plan, Reason, Workspace, minimize_in},
};

use crate::{
    data::{Data, Sample},
    network::{self, PARAMS},
    progress,
    timing::{Clock, Timed},
};

/// What came of it.
pub struct Outcome {
    pub rule: AnyRule,
    pub batch: Batch,
    /// Every completed epoch.
    pub history: Vec<Epoch>,
    /// Why it ended.
    pub reason: Reason,
    /// Of the test samples, the part that was recognised.
    pub accuracy: f64,
    /// How long the rule's fastest step took, without the network.
    pub step_time: Duration,
}

impl Outcome {
    /// The mean loss of the last epoch; `None` if none was completed.
    pub fn final_loss(&self) -> Option<f64> {
        self.history.last().map(|epoch| epoch.loss)
    }

    /// The final loss as tables show it: a word where it did not stay finite.
    pub fn final_loss_text(&self) -> String {
        match self.final_loss() {
            Some(loss) if self.reason != Reason::NotFinite => short(loss),
            _ => "diverged".to_owned(),
        }
    }
}

fn short(loss: f64) -> String {
    if (1e-3..1e4).contains(&loss) { format!("{loss:.4}") } else { format!("{loss:.1e}") }
}

pub fn train(rule: AnyRule, data: &Data, plan: &Plan, quiet: bool) -> Result<Outcome, Error> {
    let mut params = network::init(plan.seed);
    let clock = Clock::new();
    let (history, reason) = descend(Timed { rule, clock: &clock }, &data.train, plan, quiet, &mut params)?;
    let accuracy = network::accuracy(&params, &data.test);
    Ok(Outcome { rule, batch: plan.batch, history, reason, accuracy, step_time: clock.fastest() })
}

fn descend(
    rule: Timed<'_, AnyRule>,
    samples: &[Sample],
    plan: &Plan,
    quiet: bool,
    params: &mut [f32],
) -> Result<(Vec<Epoch>, Reason), Error> {
    let slots = 0..rule.state().len();
    let mut state: Vec<_> = slots.map(|slot| vec![0.0; rule.state_len(slot, PARAMS)]).collect();
    let workspace = Workspace {
        grads: &mut [0.0; PARAMS],
        state: &mut state.iter_mut().map(|slot| slot.as_mut_slice()).collect::<Vec<_>>(),
        order: &mut vec![0; samples.len()],
    };
    let objective = |params: &[f32], batch: &[usize], grads: &mut [f32]| {
        network::gradient(params, batch.iter().map(|&index| &samples[index]), grads)
    };

    let bar = progress::bar(rule.name(), plan.epochs, quiet);
    let mut history = Vec::new();
    let observe = |epoch| {
        progress::show(&bar, &epoch);
        history.push(epoch);
    };
    let end = minimize_in(&rule, plan, params, workspace, objective, observe)?;
    bar.finish_and_clear();
    Ok((history, end.reason))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    /// A rule that is added without a learning rate that suits it fails here.
    #[test]
    fn every_rule_learns() {
        let args = Args::parse_from(["digits"]);
        let data = Data::load();
        for rule in args.rules().unwrap() {
            let outcome = train(rule, &data, &args.plan(&rule), true).unwrap();
            assert!(outcome.accuracy > 0.965, "{}: {}", rule.name(), outcome.accuracy);
        }
    }

    #[test]
    fn a_huge_learning_rate_ends_the_training_early() {
        let args = Args::parse_from(["digits", "--rule", "sgd", "--lr", "1e30"]);
        let rule = args.rules().unwrap()[0];
        let outcome = train(rule, &Data::load(), &args.plan(&rule), true).unwrap();
        assert_eq!(outcome.reason, Reason::NotFinite);
        assert_eq!(outcome.final_loss(), None);
    }
}
