//! How many elements the tensors of some models have, and what a step over them moves.

use std::{vec, vec::Vec};

use gradstep::{AnyRule, Rule as _, full_slots};

use crate::buffers::Buffers;

/// A model of [waves](crate::wave).
pub fn waves(rule: &AnyRule, shapes: &[usize]) -> Vec<Buffers> {
    shapes.iter().map(|&len| Buffers::waves(rule, len)).collect()
}

/// The least number of bytes that a step moves: it reads and writes parameters and state, and reads gradients. A slot about the
/// whole tensor is next to nothing.
pub fn traffic(rule: &AnyRule, elements: usize) -> u64 {
    (size_of::<f32>() * elements * (3 + 2 * full_slots(rule.slots()))) as u64
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
