//! What one writes without a library: the textbook's formula in an iterator chain, which the compiler may vectorise as
//! far as the target's baseline goes. PyTorch's defaults.

type Step = fn(u64, &mut [f32], &[f32], &mut [&mut [f32]]);

/// None for a rule that nobody has written down here.
pub fn step(name: &str) -> Option<Step> {
    match name {
        "sgd" => Some(sgd),
        "momentum" => Some(momentum),
        "adagrad" => Some(adagrad),
        "rmsprop" => Some(rmsprop),
        "adadelta" => Some(adadelta),
        "adam" => Some(adam),
        "adamw" => Some(adamw),
        _ => None,
    }
}

fn sgd(_: u64, params: &mut [f32], grads: &[f32], _: &mut [&mut [f32]]) {
    for (p, g) in params.iter_mut().zip(grads) {
        *p -= 1e-3 * g;
    }
}

fn momentum(_: u64, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    let [buffer] = state else { return };
    for ((p, g), v) in params.iter_mut().zip(grads).zip(buffer.iter_mut()) {
        *v = 0.9 * *v + g;
        *p -= 1e-3 * *v;
    }
}

fn adagrad(_: u64, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    let [sum] = state else { return };
    for ((p, g), sum) in params.iter_mut().zip(grads).zip(sum.iter_mut()) {
        *sum += g * g;
        *p -= 1e-2 * g / (sum.sqrt() + 1e-10);
    }
}

fn rmsprop(_: u64, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    let [square_avg] = state else { return };
    for ((p, g), v) in params.iter_mut().zip(grads).zip(square_avg.iter_mut()) {
        *v = 0.99 * *v + 0.01 * g * g;
        *p -= 1e-2 * g / (v.sqrt() + 1e-8);
    }
}

fn adadelta(_: u64, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    let [square_avg, acc_delta] = state else { return };
    for (((p, g), v), u) in params.iter_mut().zip(grads).zip(square_avg.iter_mut()).zip(acc_delta.iter_mut())
    {
        *v = 0.9 * *v + 0.1 * g * g;
        let delta = (*u + 1e-6).sqrt() / (*v + 1e-6).sqrt() * g;
        *u = 0.9 * *u + 0.1 * delta * delta;
        *p -= delta;
    }
}

fn adam(t: u64, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    let [exp_avg, exp_avg_sq] = state else { return };
    let (correction1, correction2) = (1.0 - 0.9f32.powi(t as i32), 1.0 - 0.999f32.powi(t as i32));
    for (((p, g), m), v) in params.iter_mut().zip(grads).zip(exp_avg.iter_mut()).zip(exp_avg_sq.iter_mut()) {
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.999 * *v + 0.001 * g * g;
        *p -= 1e-3 * (*m / correction1) / ((*v / correction2).sqrt() + 1e-8);
    }
}

fn adamw(t: u64, params: &mut [f32], grads: &[f32], state: &mut [&mut [f32]]) {
    for p in params.iter_mut() {
        *p *= 1.0 - 1e-3 * 0.01;
    }
    adam(t, params, grads, state);
}
