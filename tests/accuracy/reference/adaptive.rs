//! Gradients divided by a root of their squares' sum or average.

use super::{Options, descent::follow};

/// With epsilon where the framework has it.
fn root(o: &Options, square: f64) -> f64 {
    match o.word("eps_place") {
        "outside" => square.sqrt() + o.number("eps"),
        "inside" => (square + o.number("eps")).sqrt(),
        other => panic!("no reference for eps_place {other}"),
    }
}

pub fn adagrad(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let lr = o.number("lr") / (1.0 + (t - 1) as f64 * o.number("lr_decay"));
    state[0] += g * g;
    if o.flag("rest_at_zero_sum") && state[0] == 0.0 {
        return p;
    }
    p - lr * g / root(o, state[0])
}

pub fn rmsprop(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (alpha, centered, heavy) = (o.number("alpha"), o.flag("centered"), o.number("momentum") > 0.0);
    let correction = if o.flag("bias_correction") { 1.0 - alpha.powf(t as f64) } else { 1.0 };
    state[0] = alpha * state[0] + (1.0 - alpha) * g * g;
    let mut variance = state[0] / correction;
    if centered {
        let mean = state.last_mut().unwrap();
        *mean = alpha * *mean + (1.0 - alpha) * g;
        variance = (variance - (*mean / correction).powi(2)).max(0.0);
    }
    let u = g / root(o, variance);
    if heavy { follow(o, p, u, u, &mut state[1]) } else { p - o.number("lr") * u }
}

pub fn adadelta(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (rho, eps) = (o.number("rho"), o.number("eps"));
    state[0] = rho * state[0] + (1.0 - rho) * g * g;
    let delta = (state[1] + eps).sqrt() / (state[0] + eps).sqrt() * g;
    state[1] = rho * state[1] + (1.0 - rho) * delta * delta;
    p - o.number("lr") * delta
}

/// As Keras writes it, with the learning rate's power at -1/2.
pub fn ftrl(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let lr = o.number("lr");
    let l1 = if o.word("l1_form") == "update" { o.number("l1") } else { 0.0 };
    let l2 = o.number("l2_strength") + o.number("beta") / (2.0 * lr);
    let shrunk = g + 2.0 * o.number("l2_shrinkage") * p;
    let old_root = state[0].sqrt();
    state[0] += g * g;
    let root = state[0].sqrt();
    state[1] += shrunk - (root - old_root) / lr * p;
    (state[1].max(-l1).min(l1) - state[1]) / (root / lr + 2.0 * l2)
}

pub fn madgrad(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (momentum, eps) = (o.number("momentum"), o.number("eps"));
    let lambda = (o.number("lr") + eps) * (t as f64).sqrt();
    state[0] += lambda * g * g;
    state[1] += lambda * g;
    let z = state[2] - state[1] / (state[0].cbrt() + eps);
    momentum * p + (1.0 - momentum) * z
}
