use anyhow::Result;
use candle_core_010::{Device, Tensor, Var, backprop::GradStore};
use candle_nn_010::Optimizer as _;
use candle_optimisers::{
    Decay,
    adam::{Adam, ParamsAdam},
};

use super::Contender;
use crate::problem::{BETA1, BETA2, EPS, LR, Problem, WEIGHT_DECAY};

/// candle-optimisers' Adam with decoupled weight decay, on the candle that it is built on.
pub struct CandleOptimisers {
    var: Var,
    grads: GradStore,
    optimizer: Adam,
}

impl CandleOptimisers {
    pub fn new(problem: &Problem) -> Result<Self> {
        let var = Var::from_slice(&problem.params, problem.params.len(), &Device::Cpu)?;
        let mut grads = var.sum_all()?.backward()?;
        grads.insert(&var, Tensor::from_slice(&problem.grads, problem.grads.len(), &Device::Cpu)?);
        let params = ParamsAdam {
            lr: LR,
            beta_1: BETA1,
            beta_2: BETA2,
            eps: EPS,
            weight_decay: Some(Decay::DecoupledWeightDecay(WEIGHT_DECAY)),
            amsgrad: false,
        };
        Ok(Self { optimizer: Adam::new(vec![var.clone()], params)?, var, grads })
    }
}

impl Contender for CandleOptimisers {
    fn name(&self) -> String {
        "candle-optimisers 0.10, AdamW".to_owned()
    }

    fn step(&mut self) -> Result<()> {
        Ok(self.optimizer.step(&self.grads)?)
    }

    fn params(&self) -> Result<Vec<f32>> {
        Ok(self.var.to_vec1()?)
    }
}
