//! The network: 64 pixels, 16 hidden units with ReLU, 10 outputs, of which that of the digit should be 1 and the
//! others 0. Its loss is half the squared error. So there is nothing but `+`, `-`, `*` and comparison in it, and it
//! has the same bits on every machine.
//!
//! All parameters are one flat slice, as gradstep wants them. A layer is a row of weights for each of its inputs, and
//! then a row of biases, as if for one more input that is always 1.

use core::iter::zip;

use testkit::Random;

use crate::data::{DIGITS, PIXELS, Sample};

const HIDDEN: usize = 16;
const FIRST_LAYER: usize = (PIXELS + 1) * HIDDEN;
pub const PARAMS: usize = FIRST_LAYER + (HIDDEN + 1) * DIGITS;

type FirstLayer = [[f32; HIDDEN]];
type SecondLayer = [[f32; DIGITS]];

/// Small weights, uniform in [-0.1, 0.1), and biases of 0.
pub fn init(params: &mut [f32], seed: u64) {
    let mut random = Random(seed);
    let (first, second) = layers_mut(params);
    init_layer(first, &mut random);
    init_layer(second, &mut random);
}

fn init_layer<const OUT: usize>(layer: &mut [[f32; OUT]], random: &mut Random) {
    if let Some((bias, weights)) = layer.split_last_mut() {
        weights.as_flattened_mut().fill_with(|| 0.1 * random.signed());
        bias.fill(0.0);
    }
}

/// Writes the mean gradient over the batch, and returns the mean loss.
pub fn gradient<'a>(
    params: &[f32],
    batch: impl Iterator<Item = &'a Sample> + Clone,
    grads: &mut [f32],
) -> f64 {
    let share = 1.0 / batch.clone().count() as f32;
    grads.fill(0.0);
    let loss: f64 = batch.map(|sample| add_gradient(params, sample, share, grads)).sum();
    loss * f64::from(share)
}

/// Adds `share` of one sample's gradient, and returns the sample's loss.
fn add_gradient(params: &[f32], sample: &Sample, share: f32, grads: &mut [f32]) -> f64 {
    let (_, second) = layers(params);
    let (first_grads, second_grads) = layers_mut(grads);
    let pixels = sample.pixels();
    let (hidden, outputs) = forward(params, &pixels);

    let mut error = outputs;
    if let Some(wanted) = error.get_mut(usize::from(sample.digit)) {
        *wanted -= 1.0;
    }
    let slope = error.map(|error| error * share);
    add_outer(second_grads, &hidden, &slope);
    add_outer(first_grads, &pixels, &hidden_slope(second, &hidden, &slope));
    f64::from(0.5 * dot(&error, &error))
}

/// The slope of the loss by the hidden units before their ReLU.
fn hidden_slope(second: &SecondLayer, hidden: &[f32; HIDDEN], slope: &[f32; DIGITS]) -> [f32; HIDDEN] {
    let mut slopes = [0.0; HIDDEN];
    for ((to, weights), &unit) in zip(zip(&mut slopes, second), hidden) {
        *to = if unit > 0.0 { dot(weights, slope) } else { 0.0 };
    }
    slopes
}

fn forward(params: &[f32], pixels: &[f32; PIXELS]) -> ([f32; HIDDEN], [f32; DIGITS]) {
    let (first, second) = layers(params);
    let hidden = apply(first, pixels).map(|sum| if sum > 0.0 { sum } else { 0.0 });
    (hidden, apply(second, &hidden))
}

/// How many samples the network knows: the digit's output is the largest.
pub fn known(params: &[f32], samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| guess(params, sample) == usize::from(sample.digit)).count()
}

fn guess(params: &[f32], sample: &Sample) -> usize {
    let (_, outputs) = forward(params, &sample.pixels());
    let larger = |best: (usize, f32), next: (usize, f32)| if next.1 > best.1 { next } else { best };
    zip(0.., outputs).fold((0, f32::NEG_INFINITY), larger).0
}

fn layers(params: &[f32]) -> (&FirstLayer, &SecondLayer) {
    let (first, second) = params.split_at_checked(FIRST_LAYER).unwrap_or_default();
    (first.as_chunks().0, second.as_chunks().0)
}

fn layers_mut(params: &mut [f32]) -> (&mut FirstLayer, &mut SecondLayer) {
    let (first, second) = params.split_at_mut_checked(FIRST_LAYER).unwrap_or_default();
    (first.as_chunks_mut().0, second.as_chunks_mut().0)
}

fn apply<const OUT: usize>(layer: &[[f32; OUT]], input: &[f32]) -> [f32; OUT] {
    let mut output = [0.0; OUT];
    for (row, x) in zip(layer, with_bias(input)) {
        for (sum, weight) in zip(&mut output, row) {
            *sum += x * weight;
        }
    }
    output
}

fn add_outer<const OUT: usize>(grads: &mut [[f32; OUT]], input: &[f32], slope: &[f32; OUT]) {
    for (row, x) in zip(grads, with_bias(input)) {
        for (grad, slope) in zip(row, slope) {
            *grad += x * slope;
        }
    }
}

fn with_bias(input: &[f32]) -> impl Iterator<Item = f32> {
    input.iter().copied().chain([1.0])
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    zip(a, b).map(|(a, b)| a * b).sum()
}
