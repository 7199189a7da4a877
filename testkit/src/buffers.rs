//! The slices of a tensor, owned.

use std::vec::Vec;

use gradstep::{Backend, Error, Join, Rule, Tensor, Workers, new_state};

use crate::{
    Random,
    values::{bits, signed, wave},
};

/// Parameters, gradients and state for one rule.
#[derive(Clone, Debug)]
pub struct Buffers {
    /// The parameters.
    pub params: Vec<f32>,
    /// The gradients.
    pub grads: Vec<f32>,
    /// The state slices, in the order of the rule's slots.
    pub state: Vec<Vec<f32>>,
}

impl Buffers {
    /// State is as before the first step.
    pub fn new(rule: &impl Rule, params: Vec<f32>, grads: Vec<f32>) -> Self {
        let state = new_state(rule, &params);
        Self { params, grads, state }
    }

    /// Parameters and gradients are [waves](wave), and state is as before the first step.
    pub fn waves(rule: &impl Rule, len: usize) -> Self {
        Self::new(rule, (0..len).map(wave).collect(), (0..len).map(|i| wave(7 * i)).collect())
    }

    /// Values are between -1 and 1, and state is what a few steps may have left: none of it is below 0.
    pub fn random(rule: &impl Rule, len: usize, random: &mut Random) -> Self {
        let (params, grads) = (signed(len, random), signed(len, random));
        let mut positive = |len| signed(len, random).into_iter().map(f32::abs).collect();
        let state = rule.slots().iter().map(|slot| positive(slot.len(len))).collect();
        Self { params, grads, state }
    }

    /// Takes a step on one thread.
    pub fn step(&mut self, backend: Backend, rule: &impl Rule, step: u64) -> Result<(), Error> {
        self.step_by(&Workers::serial().backend(backend), rule, step)
    }

    /// Takes a step by these workers.
    pub fn step_by(
        &mut self,
        workers: &Workers<impl Join>,
        rule: &impl Rule,
        step: u64,
    ) -> Result<(), Error> {
        let Self { params, grads, state } = self;
        workers.step(rule, step, params, grads, &mut slices(state))
    }

    /// The slices as a tensor.
    pub fn tensor(&mut self) -> Tensor<'_> {
        let Self { params, grads, state } = self;
        Tensor::new(params, grads, slices(state)).expect("no rule has too many slices")
    }

    /// The slices as a tensor for a pass that only reads gradients.
    pub fn pass_tensor(&mut self) -> Tensor<'_> {
        let Self { params, grads, state } = self;
        Tensor::new(&mut params[..], &grads[..], slices(state)).expect("no rule has too many slices")
    }

    /// The bits of parameters and state.
    pub fn bits(&self) -> Vec<u32> {
        [&self.params].into_iter().chain(&self.state).flat_map(|slice| bits(slice)).collect()
    }
}

/// State in the form that a step takes.
pub fn slices(state: &mut [Vec<f32>]) -> Vec<&mut [f32]> {
    state.iter_mut().map(Vec::as_mut_slice).collect()
}

/// All tensors of a model.
pub fn tensors(model: &mut [Buffers]) -> Vec<Tensor<'_>> {
    model.iter_mut().map(Buffers::tensor).collect()
}

/// The bits of each tensor of a model.
pub fn bits_of_model(model: &[Buffers]) -> Vec<Vec<u32>> {
    model.iter().map(Buffers::bits).collect()
}
