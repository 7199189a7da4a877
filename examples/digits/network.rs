//! The network: 64 pixels, 32 hidden units with ReLU, 10 digits with softmax; its loss is the cross-entropy.
//!
//! All parameters are one flat slice, as gradstep wants them. A layer is a row of weights for each of its inputs,
//! and then a row of biases, as if for one more input that is always 1.

use testkit::Random;

use crate::data::{DIGITS, PIXELS, Sample};

const HIDDEN: usize = 32;
const FIRST_LAYER: usize = (PIXELS + 1) * HIDDEN;
pub const PARAMS: usize = FIRST_LAYER + (HIDDEN + 1) * DIGITS;

/// The tensors that the slice consists of, in their order.
pub const TENSORS: [(&str, usize); 4] = [
    ("hidden.weight", PIXELS * HIDDEN),
    ("hidden.bias", HIDDEN),
    ("output.weight", HIDDEN * DIGITS),
    ("output.bias", DIGITS),
];

type FirstLayer = [[f32; HIDDEN]];
type SecondLayer = [[f32; DIGITS]];

/// He's initialisation: weights uniform with variance 2 / inputs, biases 0.
pub fn init(seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut params = vec![0.0; PARAMS];
    let (first, second) = layers_mut(&mut params);
    init_layer(first, &mut random);
    init_layer(second, &mut random);
    params
}

fn init_layer<const OUT: usize>(layer: &mut [[f32; OUT]], random: &mut Random) {
    let inputs = layer.len() - 1;
    let bound = (6.0 / inputs as f32).sqrt();
    for weight in layer[..inputs].as_flattened_mut() {
        *weight = bound * symmetric(random);
    }
}

/// Uniform in [-1, 1). The figures of docs/telemetry.md come from these numbers, which `Random::signed` would draw otherwise.
fn symmetric(random: &mut Random) -> f32 {
    let signed24 = random.draw() as i64 >> 40;
    signed24 as f32 / (1 << 23) as f32
}

/// Writes the mean gradient over the batch, and returns the mean loss.
pub fn gradient<'a>(
    params: &[f32],
    batch: impl ExactSizeIterator<Item = &'a Sample>,
    grads: &mut [f32],
) -> f64 {
    let share = 1.0 / batch.len() as f32;
    grads.fill(0.0);
    let loss: f64 = batch.map(|sample| add_gradient(params, sample, share, grads)).sum();
    loss * f64::from(share)
}

/// Adds `share` of one sample's gradient, and returns the sample's loss.
fn add_gradient(params: &[f32], sample: &Sample, share: f32, grads: &mut [f32]) -> f64 {
    let (hidden, logits) = forward(params, &sample.pixels);
    let (loss, slope) = cross_entropy(&logits, sample.digit);
    backward(params, sample, &hidden, &slope.map(|slope| slope * share), grads);
    loss
}

fn forward(params: &[f32], pixels: &[f32; PIXELS]) -> ([f32; HIDDEN], [f32; DIGITS]) {
    let (first, second) = layers(params);
    let hidden = apply(first, pixels).map(|sum| sum.max(0.0));
    (hidden, apply(second, &hidden))
}

/// Carries the loss's slope by the logits back to every parameter.
fn backward(
    params: &[f32],
    sample: &Sample,
    hidden: &[f32; HIDDEN],
    slope: &[f32; DIGITS],
    grads: &mut [f32],
) {
    let (first_grads, second_grads) = layers_mut(grads);
    add_outer(second_grads, hidden, slope);
    let (_, second) = layers(params);
    let hidden_slope = std::array::from_fn(|i| if hidden[i] > 0.0 { dot(&second[i], slope) } else { 0.0 });
    add_outer(first_grads, &sample.pixels, &hidden_slope);
}

/// The loss, and its slope by each logit. The largest logit is taken off first, so that no exponential overflows.
fn cross_entropy(logits: &[f32; DIGITS], digit: usize) -> (f64, [f32; DIGITS]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps = logits.map(|logit| (logit - largest).exp());
    let sum: f32 = exps.iter().sum();
    let loss = sum.ln() - (logits[digit] - largest);
    let mut slope = exps.map(|exp| exp / sum);
    slope[digit] -= 1.0;
    (loss.into(), slope)
}

/// The part of the samples whose digit has the largest logit.
pub fn accuracy(params: &[f32], samples: &[Sample]) -> f64 {
    let right = samples.iter().filter(|sample| guess(params, sample) == sample.digit).count();
    right as f64 / samples.len() as f64
}

fn guess(params: &[f32], sample: &Sample) -> usize {
    let (_, logits) = forward(params, &sample.pixels);
    (0..DIGITS).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default()
}

fn layers(params: &[f32]) -> (&FirstLayer, &SecondLayer) {
    let (first, second) = params.split_at(FIRST_LAYER);
    (first.as_chunks().0, second.as_chunks().0)
}

fn layers_mut(params: &mut [f32]) -> (&mut FirstLayer, &mut SecondLayer) {
    let (first, second) = params.split_at_mut(FIRST_LAYER);
    (first.as_chunks_mut().0, second.as_chunks_mut().0)
}

fn apply<const OUT: usize>(layer: &[[f32; OUT]], input: &[f32]) -> [f32; OUT] {
    let mut output = [0.0; OUT];
    for (row, x) in layer.iter().zip(with_bias(input)) {
        for (sum, weight) in output.iter_mut().zip(row) {
            *sum += x * weight;
        }
    }
    output
}

fn add_outer<const OUT: usize>(grads: &mut [[f32; OUT]], input: &[f32], slope: &[f32; OUT]) {
    for (row, x) in grads.iter_mut().zip(with_bias(input)) {
        for (grad, slope) in row.iter_mut().zip(slope) {
            *grad += x * slope;
        }
    }
}

fn with_bias(input: &[f32]) -> impl Iterator<Item = f32> {
    input.iter().copied().chain([1.0])
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Data;

    fn loss(params: &[f32], samples: &[Sample]) -> f64 {
        gradient(params, samples.iter(), &mut [0.0; PARAMS])
    }

    /// Small weights, and hidden biases that keep every other unit on and the rest off, because a central difference
    /// across the kink of a ReLU is not the slope.
    fn params_without_kinks() -> Vec<f32> {
        let mut params: Vec<_> = init(3).iter().map(|param| param / 4.0).collect();
        let (first, _) = layers_mut(&mut params);
        first[PIXELS] = std::array::from_fn(|unit| if unit % 2 == 0 { 1.0 } else { -1.0 });
        params
    }

    /// The central difference of the loss by one parameter.
    fn difference(params: &mut [f32], index: usize, samples: &[Sample]) -> f64 {
        const STEP: f32 = 1.0 / 64.0;
        let here = params[index];
        let mut loss_at = |param| {
            params[index] = param;
            loss(params, samples)
        };
        let difference = loss_at(here + STEP) - loss_at(here - STEP);
        params[index] = here;
        difference / f64::from(2.0 * STEP)
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let samples = &Data::load().test[..20];
        let mut params = params_without_kinks();
        let mut grads = [0.0; PARAMS];
        gradient(&params, samples.iter(), &mut grads);
        for (index, &grad) in grads.iter().enumerate() {
            let expected = difference(&mut params, index, samples);
            assert!((f64::from(grad) - expected).abs() < 1e-4, "{index}: {grad} and {expected}");
        }
    }

    #[test]
    fn the_gradient_of_a_batch_is_the_mean_of_its_samples() {
        let samples = &Data::load().test[..4];
        let params = init(0);
        let (mut whole, mut one, mut sum) = ([0.0; PARAMS], [0.0; PARAMS], [0.0; PARAMS]);
        gradient(&params, samples.iter(), &mut whole);
        for sample in samples {
            gradient(&params, [sample].into_iter(), &mut one);
            sum.iter_mut().zip(one).for_each(|(sum, grad)| *sum += grad);
        }
        assert!(whole.iter().zip(sum).all(|(whole, sum)| (whole - sum / 4.0).abs() < 1e-6));
    }

    #[test]
    fn zero_parameters_know_nothing() {
        let samples = Data::load().test;
        assert!((loss(&[0.0; PARAMS], &samples) - 10.0_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let mut logits = [0.0; DIGITS];
        logits[3] = 1000.0;
        let (right, slope) = cross_entropy(&logits, 3);
        assert_eq!((right, slope), (0.0, [0.0; DIGITS]));
        let (wrong, _) = cross_entropy(&logits, 4);
        assert_eq!(wrong, 1000.0);
    }
}
