//! The rules that go by signs.

use super::{Options, average, sign};

pub fn signsgd(o: &Options, _: u64, p: f64, g: f64, _: &mut [f64]) -> f64 {
    p - o.number("lr") * sign(g)
}

pub fn signum(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let size = state[0].abs() + g.abs();
    average(&mut state[0], o.number("momentum"), g);
    p - o.number("lr") * o.sign(state[0], size)
}

pub fn lion(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let beta1 = o.number("beta1");
    let blend = beta1 * state[0] + (1.0 - beta1) * g;
    let direction = match o.word("mode") {
        "refined" if blend.abs() < 1.0 => blend,
        "hard" | "refined" => o.sign(blend, state[0].abs() + g.abs()),
        other => panic!("no reference for mode {other}"),
    };
    average(&mut state[0], o.number("beta2"), g);
    p - o.number("lr") * direction
}

/// PyTorch bounds each step size, optax (`delayed`) only one that it has just changed.
pub fn rprop(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (before, turn) = (state[0], sign(g) * sign(state[0]));
    let factor = match turn {
        1.0 => o.number("eta_plus"),
        -1.0 => o.number("eta_minus"),
        _ => 1.0,
    };
    if turn != 0.0 || !o.flag("delayed") {
        state[1] = (factor * state[1]).max(o.number("step_size_min")).min(o.number("step_size_max"));
    }
    let g = if turn < 0.0 { 0.0 } else { g };
    let change = state[1] * sign(g);
    if o.flag("delayed") {
        state[0] = change;
        return if turn < 0.0 { p } else { p - before };
    }
    state[0] = g;
    p - change
}
