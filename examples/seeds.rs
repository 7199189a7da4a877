//! The programs of some introductory texts on gradient descent, mended. Each prints what it learned and what was
//! mended, and the run ends with an error if one of them did not learn.
//!
//! ```text
//! cargo run --release --example seeds
//! ```

use std::{array::from_fn, error::Error, iter::zip};

use gradstep::{
    AdaGrad, Adam, Momentum, RmsProp, Rule, Sgd, step,
    train::{Batch, Epoch, Plan, Run, minimize},
};
use testkit::Random;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const INPUTS: usize = 10;
const HIDDEN: usize = 5;
const SAMPLES: usize = 100;
const SEED: u64 = 1;

fn main() -> Outcome {
    network()?;
    scalar()?;
    classifier()?;
    worked_example()
}

fn network() -> Outcome {
    println!("a 10-5-1 ReLU network, mean squared error, {SAMPLES} random samples, 100 epochs");
    println!("  here the data are seeded, and the targets follow from the inputs, so they can be learned");
    let mut random = Random(SEED);
    let truth: [f32; INPUTS] = normals(&mut random);
    let data = Data::new(&mut random, |x| dot(&truth, x).max(0.0));
    let mut params = network_weights(&mut random);
    let rule = Momentum::torch().lr(0.01)?.momentum(0.9)?;
    let run = minimize(&rule, &Plan::default(), &mut params, SAMPLES, |p, batch, g| {
        mean(batch, g, |i, g| squared_error(p, &data.inputs[i], data.targets[i], g))
    })?;
    println!("  momentum 0.9, lr 0.01: {}", losses(&run));
    ensure(loss(run.history.last()) < 0.05, "the network did not learn")
}

fn scalar() -> Outcome {
    println!("y = theta*x, {SAMPLES} random samples");
    println!("  mended: the gradient comes first; three originals read theta.grad before any backward pass");
    let full = Plan { epochs: 500, ..Plan::default() };
    let single = Plan { batch: Batch::Single, epochs: 5, ..Plan::default() };
    fit_theta("gradient descent, lr 0.1", &Sgd::torch().lr(0.1)?, &full)?;
    fit_theta("SGD, one sample, lr 0.1", &Sgd::torch().lr(0.1)?, &single)?;
    fit_theta("AdaGrad, lr 0.5", &AdaGrad::torch().lr(0.5)?, &full)?;
    fit_theta("RMSProp, lr 0.01", &RmsProp::torch().lr(0.01)?, &full)
}

fn fit_theta(title: &str, rule: &impl Rule, plan: &Plan) -> Outcome {
    const THETA: f32 = 3.0;
    let x: [f32; SAMPLES] = normals(&mut Random(SEED));
    let mut theta = [0.0];
    let run = minimize(rule, plan, &mut theta, SAMPLES, |theta, batch, g| {
        mean(batch, g, |i, g| {
            let error = theta[0] * x[i] - THETA * x[i];
            g[0] += 2.0 * error * x[i];
            f64::from(error).powi(2)
        })
    })?;
    println!("  {title}: theta {:.4} (true: {THETA}), {}", theta[0], losses(&run));
    ensure((theta[0] - THETA).abs() < 0.01, "theta was not found")
}

fn classifier() -> Outcome {
    println!(
        "a 10-1 sigmoid classifier, binary cross-entropy, {SAMPLES} random samples, 100 epochs of 10 batches"
    );
    println!("  here the data are seeded, and the labels follow from the inputs, so they can be learned");
    let mut random = Random(SEED);
    let truth: [f32; INPUTS] = normals(&mut random);
    let data = Data::new(&mut random, |x| f32::from(dot(&truth, x) > 0.0));
    let mut params = [0.0; INPUTS + 1];
    let plan = Plan { batch: Batch::Mini(10), seed: SEED, ..Plan::default() };
    let run = minimize(&Adam::torch().lr(0.001)?, &plan, &mut params, SAMPLES, |p, batch, g| {
        mean(batch, g, |i, g| cross_entropy(p, &data.inputs[i], data.targets[i], g))
    })?;
    let correct = zip(&data.inputs, &data.targets).filter(|&(x, &y)| (affine(&params, x) > 0.0) == (y > 0.5));
    let correct = correct.count();
    println!("  Adam, lr 0.001: {}, {correct} of {} correct", losses(&run), SAMPLES);
    ensure(correct >= 90, "the classifier did not learn")
}

fn worked_example() -> Outcome {
    println!("one step of momentum by hand: w 0.5, b 0.1, gradient (-0.02, -0.03), lr 0.01, momentum 0.9");
    println!("  mended: p = p - v, where one text prints p = p + v, which climbs");
    let rule = Momentum::textbook().lr(0.01)?.momentum(0.9)?;
    let [w, b] = first_step(&rule)?;
    let [climbing_w, climbing_b] = first_step(&rule.maximize(true)?)?;
    println!("  minus: w {w:.4}, b {b:.4}; plus, as printed: w {climbing_w:.4}, b {climbing_b:.4}");
    ensure((w - 0.5002).abs() < 1e-6 && (b - 0.1003).abs() < 1e-6, "the step is not the worked one")
}

fn first_step(rule: &Momentum) -> Outcome<[f32; 2]> {
    let mut params = [0.5, 0.1];
    step(rule, 1, &mut params, &[-0.02, -0.03], &mut [&mut [0.0; 2]])?;
    Ok(params)
}

/// The mean losses of the first and of the last epoch.
fn losses(run: &Run) -> String {
    let (first, last) = (loss(run.history.first()), loss(run.history.last()));
    format!("loss {first:.4} -> {last:.4} in {} steps", run.end.steps)
}

/// NaN where no epoch was completed, which is below no bound.
fn loss(epoch: Option<&Epoch>) -> f64 {
    epoch.map_or(f64::NAN, |epoch| epoch.loss)
}

fn ensure(learned: bool, complaint: &str) -> Outcome {
    if learned { Ok(()) } else { Err(complaint.into()) }
}

/// The mean loss of a batch and, in `grads`, its gradient. `one` adds the gradient of one sample.
fn mean(batch: &[usize], grads: &mut [f32], mut one: impl FnMut(usize, &mut [f32]) -> f64) -> f64 {
    grads.fill(0.0);
    let loss: f64 = batch.iter().map(|&i| one(i, grads)).sum();
    for g in grads {
        *g /= batch.len() as f32;
    }
    loss / batch.len() as f64
}

fn squared_error(p: &[f32], x: &[f32; INPUTS], y: f32, g: &mut [f32]) -> f64 {
    let (first, second) = p.split_at(HIDDEN * (INPUTS + 1));
    let (g_first, g_second) = g.split_at_mut(first.len());
    let hidden: [f32; HIDDEN] = from_fn(|j| affine(&first[j * (INPUTS + 1)..], x).max(0.0));
    let error = affine(second, &hidden) - y;

    add_affine_gradient(g_second, &hidden, 2.0 * error);
    for (g_row, (h, w)) in zip(g_first.chunks_exact_mut(INPUTS + 1), zip(hidden, second)) {
        if h > 0.0 {
            add_affine_gradient(g_row, x, 2.0 * error * w);
        }
    }
    f64::from(error).powi(2)
}

fn cross_entropy(p: &[f32], x: &[f32; INPUTS], y: f32, g: &mut [f32]) -> f64 {
    let z = affine(p, x);
    add_affine_gradient(g, x, 1.0 / (1.0 + (-z).exp()) - y);
    // The same as -ln(sigmoid(z)) for y = 1 and -ln(1 - sigmoid(z)) for y = 0, without infinities.
    f64::from(z.max(0.0) - z * y + (-z.abs()).exp().ln_1p())
}

fn dot(w: &[f32], x: &[f32]) -> f32 {
    zip(w, x).map(|(w, x)| w * x).sum()
}

/// One weight for each input, then the bias; what comes after is another's.
fn affine(w: &[f32], x: &[f32]) -> f32 {
    dot(w, x) + w[x.len()]
}

fn add_affine_gradient(g: &mut [f32], x: &[f32], outer: f32) {
    for (g, x) in zip(&mut *g, x) {
        *g += outer * x;
    }
    g[x.len()] += outer;
}

/// From minus to plus one over the root of a layer's inputs, as PyTorch starts a linear layer.
fn network_weights(random: &mut Random) -> Vec<f32> {
    let mut layer = |inputs: usize, outputs: usize| -> Vec<f32> {
        (0..outputs * (inputs + 1)).map(|_| random.signed() / (inputs as f32).sqrt()).collect()
    };
    [layer(INPUTS, HIDDEN), layer(HIDDEN, 1)].concat()
}

struct Data {
    inputs: Vec<[f32; INPUTS]>,
    targets: Vec<f32>,
}

impl Data {
    fn new(random: &mut Random, target: impl Fn(&[f32; INPUTS]) -> f32) -> Self {
        let inputs: Vec<_> = (0..SAMPLES).map(|_| normals(random)).collect();
        let targets = inputs.iter().map(target).collect();
        Self { inputs, targets }
    }
}

/// Near enough to normal, with mean 0 and variance 1: each is the sum of 12 uniforms of variance 1/12.
fn normals<const N: usize>(random: &mut Random) -> [f32; N] {
    from_fn(|_| (0..12).map(|_| random.signed() / 2.0).sum())
}
