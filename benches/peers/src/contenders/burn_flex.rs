use anyhow::{Result, anyhow};
use burn::{
    optim::{AdamW, AdamWConfig, AdamWState, Optimizer as _},
    tensor::{Device, Tensor, TensorData},
};

use super::Contender;
use crate::problem::{BETA1, BETA2, EPS, LR, Problem, WEIGHT_DECAY};

/// burn's AdamW on Flex, its backend for processors.
pub struct Burn {
    optimizer: AdamW,
    params: Tensor<1>,
    grads: Tensor<1>,
    state: Option<AdamWState<1>>,
}

impl Burn {
    pub fn new(problem: &Problem) -> Self {
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::from_data(TensorData::from(values), &device);
        let config = AdamWConfig::new()
            .with_beta_1(BETA1 as f32)
            .with_beta_2(BETA2 as f32)
            .with_epsilon(EPS as f32)
            .with_weight_decay(WEIGHT_DECAY as f32);
        Self {
            optimizer: config.build(),
            params: tensor(&problem.params),
            grads: tensor(&problem.grads),
            state: None,
        }
    }
}

impl Contender for Burn {
    fn name(&self) -> String {
        "burn 0.22, AdamW on Flex".to_owned()
    }

    fn step(&mut self) -> Result<()> {
        // What the optimizer is given as the only owner, it may reuse.
        let params = std::mem::replace(&mut self.params, self.grads.clone());
        let (params, state) = self.optimizer.step(LR, params, self.grads.clone(), self.state.take());
        (self.params, self.state) = (params, state);
        Ok(())
    }

    fn params(&self) -> Result<Vec<f32>> {
        self.params.to_data().to_vec().map_err(|error| anyhow!("{error:?}"))
    }
}
