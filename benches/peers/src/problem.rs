//! What all contenders are given.

use testkit::wave;

pub const LR: f64 = 1e-3;
pub const BETA1: f64 = 0.9;
pub const BETA2: f64 = 0.999;
pub const EPS: f64 = 1e-8;
pub const WEIGHT_DECAY: f64 = 0.01;

/// One tensor, and the gradient that it has at every step.
pub struct Problem {
    pub params: Vec<f32>,
    pub grads: Vec<f32>,
}

impl Problem {
    pub fn new(elements: usize) -> Self {
        Self {
            params: (0..elements).map(wave).collect(),
            grads: (0..elements).map(|i| wave(7 * i)).collect(),
        }
    }
}
