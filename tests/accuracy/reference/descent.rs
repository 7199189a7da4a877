//! Descent along the gradient or an average of it.

use super::Options;

pub fn sgd(o: &Options, _: u64, p: f64, g: f64, _: &mut [f64]) -> f64 {
    p - o.number("lr") * g
}

pub fn momentum(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let dampening = if t == 1 { 0.0 } else { o.number("dampening") };
    follow(o, p, g, (1.0 - dampening) * g, &mut state[0])
}

/// The four conventions of velocity. `damped` is what enters the velocity of the convention "sum".
pub fn follow(o: &Options, p: f64, g: f64, damped: f64, v: &mut f64) -> f64 {
    let (lr, mu, nesterov) = (o.number("lr"), o.number("momentum"), o.flag("nesterov"));
    match o.word("velocity") {
        "sum" => {
            *v = mu * *v + damped;
            p - lr * if nesterov { g + mu * *v } else { *v }
        }
        "lr-inside" => {
            *v = mu * *v + lr * g;
            p - if nesterov { mu * *v + lr * g } else { *v }
        }
        "lr-inside-negative" => {
            *v = mu * *v - lr * g;
            p + if nesterov { mu * *v - lr * g } else { *v }
        }
        "average" => {
            *v = mu * *v + (1.0 - mu) * g;
            p - lr * if nesterov { mu * *v + (1.0 - mu) * g } else { *v }
        }
        other => panic!("no reference for velocity {other}"),
    }
}

pub fn qhm(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (mu, nu) = (o.number("momentum"), o.number("nu"));
    state[0] = mu * state[0] + (1.0 - mu) * g;
    p - o.number("lr") * ((1.0 - nu) * g + nu * state[0])
}

/// PyTorch computes `eta` and `mu` at the end of a step, for the next.
pub fn asgd(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (lr, lambd, before) = (o.number("lr"), o.number("lambd"), (t - 1) as f64);
    let eta = lr / (1.0 + lambd * lr * before).powf(o.number("alpha"));
    let mu = 1.0 / (before - o.number("t0")).max(1.0);
    let new = p * (1.0 - lambd * eta) - eta * g;
    state[0] += mu * (new - state[0]);
    new
}
