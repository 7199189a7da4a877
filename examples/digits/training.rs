//! Trains the network with one rule.

use std::time::Duration;

use gradstep::{
    AnyRule, Error, Rule as _, new_state, step,
    train::{Batch, Epoch, Plan, Reason, minimize_with},
};

use crate::{
    args::Args,
    data::{Data, Sample},
    network::{self, PARAMS},
    progress,
    telemetry::{Recorder, Row},
    timing::Clock,
};

/// What came of it.
pub struct Outcome {
    pub rule: AnyRule,
    /// What tells it from the others in a picture.
    pub label: String,
    pub batch: Batch,
    /// Every completed epoch.
    pub history: Vec<Epoch>,
    /// Why it ended.
    pub reason: Reason,
    /// Of the test samples, the part that was recognised.
    pub accuracy: f64,
    /// How long the rule's fastest step took, without the network.
    pub step_time: Duration,
    /// What the steps told, where they were asked.
    pub telemetry: Vec<Row>,
    /// The trained network.
    #[cfg(test)]
    pub params: Vec<f32>,
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

pub fn train(rule: AnyRule, data: &Data, args: &Args) -> Result<Outcome, Error> {
    let plan = args.plan(&rule);
    let mut params = network::init(plan.seed);
    let mut clock = Clock::new();
    let training = Training { rule, samples: &data.train, plan, quiet: args.quiet };
    let (Descent { history, reason }, telemetry) = if args.telemetry.is_some() {
        training.recorded(&mut params, &mut clock)?
    } else {
        (training.plain(&mut params, &mut clock)?, Vec::new())
    };
    Ok(Outcome {
        rule,
        label: args.label(&rule),
        batch: plan.batch,
        history,
        reason,
        accuracy: network::accuracy(&params, &data.test),
        step_time: clock.fastest(),
        telemetry,
        #[cfg(test)]
        params,
    })
}

struct Training<'a> {
    rule: AnyRule,
    samples: &'a [Sample],
    plan: Plan,
    quiet: bool,
}

struct Descent {
    history: Vec<Epoch>,
    reason: Reason,
}

impl Training<'_> {
    fn plain(&self, params: &mut [f32], clock: &mut Clock) -> Result<Descent, Error> {
        let rule = &self.rule;
        let mut state = new_state(rule, params);
        let mut state: Vec<_> = state.iter_mut().map(Vec::as_mut_slice).collect();
        self.descend(params, |number, params, grads| {
            clock.time(|| step(rule, number, params, grads, &mut state))
        })
    }

    fn recorded(&self, params: &mut [f32], clock: &mut Clock) -> Result<(Descent, Vec<Row>), Error> {
        let mut recorder = Recorder::new(self.rule)?;
        let descent = self.descend(params, |_, params, grads| clock.time(|| recorder.step(params, grads)))?;
        Ok((descent, recorder.rows))
    }

    fn descend(
        &self,
        params: &mut [f32],
        take_step: impl FnMut(u64, &mut [f32], &[f32]) -> Result<(), Error>,
    ) -> Result<Descent, Error> {
        let (mut grads, mut order) = ([0.0; PARAMS], vec![0; self.samples.len()]);
        let objective = |params: &[f32], batch: &[usize], grads: &mut [f32]| {
            network::gradient(params, batch.iter().map(|&index| &self.samples[index]), grads)
        };
        let bar = progress::bar(self.rule.name(), self.plan.epochs, self.quiet);
        let mut history = Vec::new();
        let observe = |epoch| {
            progress::show(&bar, &epoch);
            history.push(epoch);
        };
        let end = minimize_with(&self.plan, params, &mut grads, &mut order, objective, take_step, observe)?;
        bar.finish_and_clear();
        Ok(Descent { history, reason: end.reason })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// A rule that is added without a learning rate that suits it fails here.
    #[test]
    fn every_rule_learns() {
        let args = Args::parse_from(["digits", "--quiet"]);
        let data = Data::load();
        for rule in args.rules().unwrap() {
            let outcome = train(rule, &data, &args).unwrap();
            assert!(outcome.accuracy > 0.965, "{}: {}", rule.name(), outcome.accuracy);
        }
    }

    #[test]
    fn a_huge_learning_rate_ends_the_training_early() {
        let args = Args::parse_from(["digits", "--quiet", "--rule", "sgd", "--lr", "1e9"]);
        let mut rule = args.rules().unwrap()[0];
        // Each step multiplies every parameter by about -1e9.
        rule.set("weight_decay", 1).unwrap();
        let outcome = train(rule, &Data::load(), &args).unwrap();
        assert_eq!(outcome.reason, Reason::NotFinite);
        assert_eq!(outcome.final_loss(), None);
    }
}
