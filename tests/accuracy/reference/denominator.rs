//! The rules that divide an average of gradients by something else than Adam does.

use super::{Options, average, corrected};

pub fn adamax(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2, eps) = (o.number("beta1"), o.number("beta2"), o.number("eps"));
    let (inside, outside) = match o.word("eps_place") {
        "inside-max" => (eps, 0.0),
        "outside" => (0.0, eps),
        other => panic!("no reference for eps_place {other}"),
    };
    average(&mut state[0], beta1, g);
    state[1] = (beta2 * state[1]).max(g.abs() + inside);
    p - o.number("lr") * corrected(state[0], beta1, t) / (state[1] + outside)
}

pub fn adabelief(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2) = (o.number("beta1"), o.number("beta2"));
    average(&mut state[0], beta1, g);
    let error = g - state[0];
    average(&mut state[1], beta2, error * error);
    state[1] += o.number("eps_root") + if o.word("eps_place") == "twice" { o.number("eps") } else { 0.0 };
    let momentum = if o.flag("nesterov") {
        beta1 * corrected(state[0], beta1, t + 1) + (1.0 - beta1) * corrected(g, beta1, t)
    } else {
        corrected(state[0], beta1, t)
    };
    p - o.number("lr") * momentum / (corrected(state[1], beta2, t).sqrt() + o.number("eps"))
}

pub fn yogi(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2, square) = (o.number("beta1"), o.number("beta2"), g * g);
    average(&mut state[0], beta1, g);
    state[1] -= (1.0 - beta2) * o.sign(state[1] - square, state[1] + square) * square;
    let root = (corrected(state[1], beta2, t) + o.number("eps_root")).sqrt();
    p - o.number("lr") * corrected(state[0], beta1, t) / (root + o.number("eps"))
}

pub fn adabound(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (lr, beta1, beta2) = (o.number("lr"), o.number("beta1"), o.number("beta2"));
    average(&mut state[0], beta1, g);
    average(&mut state[1], beta2, g * g);
    let mut square = state[1];
    if o.flag("amsgrad") {
        state[2] = state[2].max(square);
        square = state[2];
    }
    let (correction1, correction2) = (1.0 - beta1.powf(t as f64), 1.0 - beta2.powf(t as f64));
    let rate = lr * correction2.sqrt() / correction1 / (square.sqrt() + o.number("eps"));
    let (last, age) = (o.number("final_lr") * lr / o.number("base_lr"), o.number("gamma") * t as f64);
    let (lower, upper) = (last * (1.0 - 1.0 / (age + 1.0)), last * (1.0 + 1.0 / age));
    p - rate.max(lower).min(upper) * state[0]
}

/// Divides by the average before this gradient, so that the first step has none and only begins it.
pub fn adopt(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    if t == 1 {
        state[1] = g * g;
        return p;
    }
    let bound = if o.flag("clip") { ((t - 1) as f64).powf(0.25) } else { f64::INFINITY };
    let normed = g / state[1].sqrt().max(o.number("eps"));
    let (beta1, bounded) = (o.number("beta1"), normed.max(-bound).min(bound));
    average(&mut state[0], beta1, bounded);
    average(&mut state[1], o.number("beta2"), g * g);
    let ahead = beta1 * state[0] + (1.0 - beta1) * bounded;
    p - o.number("lr") * if o.flag("nesterov") { ahead } else { state[0] }
}

pub fn sophia(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, eps, clip) = (o.number("beta1"), o.number("eps"), o.number("clip"));
    let size = state[0].abs() + g.abs();
    average(&mut state[0], beta1, g);
    let momentum = if o.flag("bias_correction") { corrected(state[0], beta1, t) } else { state[0] };
    let curvature = o.number("gamma") * state[1];
    let divisor = match o.word("eps_place") {
        "added" => curvature + eps,
        "floor" => curvature.max(eps),
        other => panic!("no reference for eps_place {other}"),
    };
    let ratio = momentum / divisor;
    let clipped = clip * o.sign(state[0], size) * divisor.signum();
    p - o.number("lr") * if ratio.abs() > clip { clipped } else { ratio }
}
