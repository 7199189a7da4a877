//! Adam, and the rules that change its momentum.

use super::{Options, average, corrected};

pub fn adam(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2) = (o.number("beta1"), o.number("beta2"));
    let (eps, eps_root) = (o.number("eps"), o.number("eps_root"));
    state[0] = beta1 * state[0] + (1.0 - beta1) * g;
    state[1] = beta2 * state[1] + (1.0 - beta2) * g * g;
    let correction = |flag, beta: f64| if o.flag(flag) { 1.0 - beta.powf(t as f64) } else { 1.0 };
    let correction1 = correction("bias_correction1", beta1);
    let correction2 = correction("bias_correction2", beta2);
    let corrected = match o.word("amsgrad") {
        "off" => state[1] / correction2,
        "raw" => {
            state[2] = state[2].max(state[1]);
            state[2] / correction2
        }
        "corrected" => {
            state[2] = state[2].max(state[1] / correction2);
            state[2]
        }
        other => panic!("no reference for amsgrad {other}"),
    };
    let eps = match o.word("eps_place") {
        "after-correction" => eps,
        "hat" => eps / correction2.sqrt(),
        other => panic!("no reference for eps_place {other}"),
    };
    p - o.number("lr") * (state[0] / correction1) / ((corrected + eps_root).sqrt() + eps)
}

pub fn nadam(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2, decay) = (o.number("beta1"), o.number("beta2"), o.number("momentum_decay"));
    let scheduled = o.flag("momentum_schedule");
    let mu = |t: u64| beta1 * if scheduled { 1.0 - 0.5 * 0.96f64.powf(t as f64 * decay) } else { 1.0 };
    // Beside 1 the product's later factors are nothing.
    let product = (1..=t.min(2000)).map(mu).product::<f64>();
    average(&mut state[0], beta1, g);
    average(&mut state[1], beta2, g * g);
    let momentum = mu(t + 1) * state[0] / (1.0 - product * mu(t + 1)) + (1.0 - mu(t)) * g / (1.0 - product);
    p - o.number("lr") * momentum
        / ((corrected(state[1], beta2, t) + o.number("eps_root")).sqrt() + o.number("eps"))
}

pub fn radam(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (lr, beta1, beta2) = (o.number("lr"), o.number("beta1"), o.number("beta2"));
    average(&mut state[0], beta1, g);
    average(&mut state[1], beta2, g * g);
    let momentum = if o.flag("nesterov") {
        beta1 * corrected(state[0], beta1, t + 1) + (1.0 - beta1) * corrected(g, beta1, t)
    } else {
        corrected(state[0], beta1, t)
    };
    let (power, longest) = (beta2.powf(t as f64), 2.0 / (1.0 - beta2) - 1.0);
    let rho = longest - 2.0 * t as f64 * power / (1.0 - power);
    if rho <= o.number("threshold") {
        return p - lr * momentum;
    }
    let rectified = ((rho - 4.0) * (rho - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * rho)).sqrt();
    let eps = match o.word("eps_place") {
        "after-correction" => o.number("eps"),
        "hat" => o.number("eps") / (1.0 - power).sqrt(),
        other => panic!("no reference for eps_place {other}"),
    };
    let root = (corrected(state[1], beta2, t) + o.number("eps_root")).sqrt();
    p - lr * rectified * momentum / (root + eps)
}

pub fn qhadam(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2) = (o.number("beta1"), o.number("beta2"));
    let (nu1, nu2) = (o.number("nu1"), o.number("nu2"));
    average(&mut state[0], beta1, g);
    average(&mut state[1], beta2, g * g);
    let momentum = (1.0 - nu1) * g + nu1 * corrected(state[0], beta1, t);
    let square = (1.0 - nu2) * g * g + nu2 * corrected(state[1], beta2, t);
    p - o.number("lr") * momentum / (square.sqrt() + o.number("eps"))
}

pub fn adan(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2, beta3) = (o.number("beta1"), o.number("beta2"), o.number("beta3"));
    let weight = o.number("diff_weight");
    let difference = if t == 1 { 0.0 } else { g - state[3] };
    average(&mut state[0], beta1, g);
    average(&mut state[1], beta2, difference);
    let ahead = g + weight * difference;
    average(&mut state[2], beta3, ahead * ahead);
    state[3] = g;
    let momentum = corrected(state[0], beta1, t) + weight * corrected(state[1], beta2, t);
    let root = (corrected(state[2], beta3, t) + o.number("eps_root")).sqrt();
    p - o.number("lr") * momentum / (root + o.number("eps"))
}

pub fn ademamix(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2, beta3) = (o.number("beta1"), o.number("beta2"), o.number("beta3"));
    let through = |warmup: &str| (t as f64 / o.number(warmup)).min(1.0);
    let alpha = o.number("alpha") * through("alpha_warmup");
    let slow = match through("beta3_warmup") {
        1.0 => beta3,
        part => {
            let (from, to) = (beta1.ln(), beta3.ln());
            (from * to / ((1.0 - part) * to + part * from)).exp().min(beta3)
        }
    };
    average(&mut state[0], beta1, g);
    average(&mut state[1], slow, g);
    average(&mut state[2], beta2, g * g);
    let momentum = corrected(state[0], beta1, t) + alpha * state[1];
    let root = (corrected(state[2], beta2, t) + o.number("eps_root")).sqrt();
    p - o.number("lr") * momentum / (root + o.number("eps"))
}
