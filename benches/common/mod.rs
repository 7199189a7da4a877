//! Models to be stepped: what the benchmarks share.

#![allow(dead_code, reason = "each benchmark uses a part of this")]

pub mod pairs;

use gradstep::{AnyRule, Rule, Tensor, full_slots, new_state};

/// Tensors with values, gradients and state.
pub struct Model(Vec<Buffers>);

struct Buffers {
    params: Vec<f32>,
    grads: Vec<f32>,
    state: Vec<Vec<f32>>,
}

impl Buffers {
    fn tensor(&mut self) -> Tensor<'_> {
        let state = self.state.iter_mut().map(Vec::as_mut_slice);
        Tensor::new(&mut self.params, &self.grads, state).expect("few state slices")
    }
}

impl Model {
    pub fn new(rule: &AnyRule, shapes: &[usize]) -> Self {
        let wave = |i: usize| (i % 1000) as f32 / 1000.0 - 0.4995;
        let buffers = |&len: &usize| Buffers {
            state: new_state(rule, &(0..len).map(wave).collect::<Vec<_>>()),
            params: (0..len).map(wave).collect(),
            grads: (0..len).map(|i| wave(7 * i)).collect(),
        };
        Self(shapes.iter().map(buffers).collect())
    }

    pub fn elements(&self) -> usize {
        self.0.iter().map(|tensor| tensor.params.len()).sum()
    }

    pub fn tensors(&mut self) -> Vec<Tensor<'_>> {
        self.0.iter_mut().map(Buffers::tensor).collect()
    }
}

/// The least number of bytes that a step moves: parameters and state read and written, gradients read.
pub fn traffic(rule: &AnyRule, elements: usize) -> u64 {
    (size_of::<f32>() * elements * (3 + 2 * (full_slots(rule.slots())))) as u64
}

/// Many tensors so small that the call is all.
pub fn tiny() -> Vec<usize> {
    vec![64; 500]
}

/// Forty layers of a small multilayer perceptron.
pub fn perceptron() -> Vec<usize> {
    [256 * 256, 256].repeat(40)
}

/// GPT-2 124 M: 148 tensors.
pub fn gpt2() -> Vec<usize> {
    let width = 768;
    let layer = [
        width,
        width,
        width * 3 * width,
        3 * width,
        width * width,
        width,
        width,
        width,
        width * 4 * width,
        4 * width,
        4 * width * width,
        width,
    ];
    [&[50_257 * width, 1024 * width][..], &layer.repeat(12), &[width, width]].concat()
}

/// ResNet-50: 161 tensors.
pub fn resnet50() -> Vec<usize> {
    let mut shapes = vec![64 * 3 * 7 * 7, 64, 64];
    let mut inputs = 64;
    for (blocks, width) in [(3, 64), (4, 128), (6, 256), (3, 512)] {
        let outputs = 4 * width;
        for block in 0..blocks {
            shapes.extend([width * inputs, width, width, width * width * 9, width, width]);
            shapes.extend([outputs * width, outputs, outputs]);
            if block == 0 {
                shapes.extend([outputs * inputs, outputs, outputs]);
            }
            inputs = outputs;
        }
    }
    shapes.extend([1000 * 2048, 1000]);
    shapes
}
