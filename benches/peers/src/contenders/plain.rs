use anyhow::Result;

use super::Contender;
use crate::problem::{BETA1, BETA2, EPS, LR, Problem, WEIGHT_DECAY};

/// The loop that one would write, on one thread, compiled for what every processor of the target has.
pub struct Plain {
    params: Vec<f32>,
    grads: Vec<f32>,
    exp_avg: Vec<f32>,
    exp_avg_sq: Vec<f32>,
    taken: i32,
}

impl Plain {
    pub fn new(problem: &Problem) -> Self {
        let zeros = vec![0.0; problem.params.len()];
        Self {
            params: problem.params.clone(),
            grads: problem.grads.clone(),
            exp_avg: zeros.clone(),
            exp_avg_sq: zeros,
            taken: 0,
        }
    }
}

impl Contender for Plain {
    fn name(&self) -> String {
        "a plain loop, one thread".to_owned()
    }

    fn step(&mut self) -> Result<()> {
        self.taken += 1;
        let root = (1.0 - BETA2.powi(self.taken)).sqrt();
        let lr = (LR * root / (1.0 - BETA1.powi(self.taken))) as f32;
        let (eps, keep) = ((EPS * root) as f32, (1.0 - LR * WEIGHT_DECAY) as f32);
        let (beta1, beta2) = (BETA1 as f32, BETA2 as f32);
        let (rest1, rest2) = ((1.0 - BETA1) as f32, (1.0 - BETA2) as f32);
        let state = self.exp_avg.iter_mut().zip(&mut self.exp_avg_sq);
        for ((p, g), (m, v)) in self.params.iter_mut().zip(&self.grads).zip(state) {
            *m = beta1 * *m + rest1 * g;
            *v = beta2 * *v + rest2 * g * g;
            *p = keep * *p - lr * *m / (v.sqrt() + eps);
        }
        Ok(())
    }

    fn params(&self) -> Result<Vec<f32>> {
        Ok(self.params.clone())
    }
}
