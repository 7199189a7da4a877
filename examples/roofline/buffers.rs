//! What a step works on.

use gradstep::{Rule, init_state};

pub struct Buffers {
    pub params: Vec<f32>,
    pub grads: Vec<f32>,
    pub state: Vec<Vec<f32>>,
}

impl Buffers {
    /// Writes every element, so that no page is touched for the first time while a clock runs.
    ///
    /// Gradients are above zero, and no number ever becomes subnormal, which many processors are slow with: averages
    /// do not decay, and adding gradients to a second moment, as the roofs do, leaves it above zero.
    pub fn new(rule: &impl Rule, elements: usize) -> Self {
        let wave = |i: usize| 0.25 + (i % 1000) as f32 / 1000.0;
        let mut buffers = Self {
            params: (0..elements).map(wave).collect(),
            grads: (0..elements).map(|i| wave(7 * i)).collect(),
            state: rule.state().iter().map(|_| vec![1.0; elements]).collect(),
        };
        init_state(rule, &mut buffers.slices().2).expect("there is one slice for each name");
        buffers
    }

    pub fn slices(&mut self) -> (&mut [f32], &[f32], Vec<&mut [f32]>) {
        (&mut self.params, &self.grads, self.state.iter_mut().map(Vec::as_mut_slice).collect())
    }
}
