use anyhow::Result;
use gradstep::{Adam, AdamW, par_step, step};

use super::Contender;
use crate::problem::{BETA1, BETA2, EPS, LR, Problem, WEIGHT_DECAY};

pub struct Gradstep {
    all_threads: bool,
    params: Vec<f32>,
    grads: Vec<f32>,
    exp_avg: Vec<f32>,
    exp_avg_sq: Vec<f32>,
    taken: u64,
}

impl Gradstep {
    pub fn parallel(problem: &Problem) -> Self {
        Self { all_threads: true, ..Self::serial(problem) }
    }

    pub fn serial(problem: &Problem) -> Self {
        let zeros = vec![0.0; problem.params.len()];
        Self {
            all_threads: false,
            params: problem.params.clone(),
            grads: problem.grads.clone(),
            exp_avg: zeros.clone(),
            exp_avg_sq: zeros,
            taken: 0,
        }
    }
}

fn rule() -> Result<Adam> {
    Ok(AdamW::torch().lr(LR)?.beta1(BETA1)?.beta2(BETA2)?.eps(EPS)?.weight_decay(WEIGHT_DECAY)?)
}

impl Contender for Gradstep {
    fn name(&self) -> String {
        format!("gradstep, {}", if self.all_threads { "all threads" } else { "one thread" })
    }

    fn step(&mut self) -> Result<()> {
        self.taken += 1;
        let state = &mut [&mut self.exp_avg[..], &mut self.exp_avg_sq];
        let step = if self.all_threads { par_step } else { step };
        Ok(step(&rule()?, self.taken, &mut self.params, &self.grads, state)?)
    }

    fn params(&self) -> Result<Vec<f32>> {
        Ok(self.params.clone())
    }
}
