use anyhow::Result;
use candle_core::{Device, Tensor, Var, backprop::GradStore};
use candle_nn::{AdamW, Optimizer as _, ParamsAdamW};

use super::Contender;
use crate::problem::{BETA1, BETA2, EPS, LR, Problem, WEIGHT_DECAY};

/// candle-nn's AdamW on the processor.
pub struct Candle {
    var: Var,
    grads: GradStore,
    optimizer: AdamW,
}

impl Candle {
    pub fn new(problem: &Problem) -> Result<Self> {
        let var = Var::from_slice(&problem.params, problem.params.len(), &Device::Cpu)?;
        // A store of gradients is made by a backward pass alone; its contents can be replaced.
        let mut grads = var.sum_all()?.backward()?;
        grads.insert(&var, Tensor::from_slice(&problem.grads, problem.grads.len(), &Device::Cpu)?);
        let params = ParamsAdamW { lr: LR, beta1: BETA1, beta2: BETA2, eps: EPS, weight_decay: WEIGHT_DECAY };
        Ok(Self { optimizer: AdamW::new(vec![var.clone()], params)?, var, grads })
    }
}

impl Contender for Candle {
    fn name(&self) -> String {
        "candle-nn 0.11, AdamW".to_owned()
    }

    fn step(&mut self) -> Result<()> {
        Ok(self.optimizer.step(&self.grads)?)
    }

    fn params(&self) -> Result<Vec<f32>> {
        Ok(self.var.to_vec1()?)
    }
}
