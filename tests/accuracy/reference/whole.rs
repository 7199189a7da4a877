//! The rules that look at whole tensors, and the schedule-free ones.

use super::{Options, average};

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// How much longer, and 1 where there is nothing to compare.
fn ratio(params: f64, update: f64, coefficient: f64, eps: f64) -> f64 {
    if params == 0.0 || update == 0.0 { 1.0 } else { coefficient * params / (update + eps) }
}

fn update_decay(o: &Options) -> f64 {
    if o.word("decay") == "update" { o.number("weight_decay") } else { 0.0 }
}

fn along(rate: f64, g: &[f64]) -> Vec<f64> {
    g.iter().map(|g| rate * g).collect()
}

fn with_all(mean: &mut [f64], beta: f64, values: impl Iterator<Item = f64>) {
    mean.iter_mut().zip(values).for_each(|(mean, x)| average(mean, beta, x));
}

pub fn ngd(o: &Options, _: u64, _: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    state[0][0] = norm(g);
    along(o.number("lr") / (state[0][0] + o.number("eps")), g)
}

pub fn lars(o: &Options, _: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [v, scalar] = state else { panic!("the state of lars") };
    scalar[0] = ratio(norm(p), norm(g), o.number("trust_coefficient"), o.number("eps"));
    let (mu, rate, nesterov) = (o.number("momentum"), o.number("lr") * scalar[0], o.flag("nesterov"));
    let element = |(v, g): (&mut f64, &f64)| {
        *v = mu * *v - rate * g;
        if nesterov { rate * g - mu * *v } else { -*v }
    };
    v.iter_mut().zip(g).map(element).collect()
}

pub fn lamb(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [m, v, scalar] = state else { panic!("the state of lamb") };
    let (beta1, beta2, decay) = (o.number("beta1"), o.number("beta2"), update_decay(o));
    let (eps, eps_root) = (o.number("eps"), o.number("eps_root"));
    with_all(m, beta1, g.iter().copied());
    with_all(v, beta2, g.iter().map(|g| g * g));
    let (correction1, correction2) = (1.0 - beta1.powf(t as f64), 1.0 - beta2.powf(t as f64));
    let element = |((m, v), p): ((&f64, &f64), &f64)| {
        m / correction1 / ((v / correction2 + eps_root).sqrt() + eps) + decay * p
    };
    let u: Vec<f64> = m.iter().zip(&*v).zip(p).map(element).collect();
    scalar[0] = ratio(norm(p), norm(&u), 1.0, 0.0);
    along(o.number("lr") * scalar[0], &u)
}

pub fn novograd(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [m, scalar] = state else { panic!("the state of novograd") };
    let (beta1, beta2, decay) = (o.number("beta1"), o.number("beta2"), update_decay(o));
    let square = norm(g).powi(2);
    scalar[0] = if t == 1 { square } else { beta2 * scalar[0] + (1.0 - beta2) * square };
    let length = (scalar[0] + o.number("eps_root")).sqrt() + o.number("eps");
    for ((m, p), g) in m.iter_mut().zip(p).zip(g) {
        *m = beta1 * *m + g / length + decay * p;
    }
    along(o.number("lr"), m)
}

pub fn dog(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [x0, distances, squares] = state else { panic!("the state of dog") };
    let (first, given) = (t == 1, o.number("init_step"));
    let now = match o.word("init_step_form") {
        _ if !first => distance(p, x0),
        "heuristic" => given * (1.0 + norm(x0)),
        "distance" => given,
        "learning-rate" => 0.0,
        other => panic!("no reference for init_step_form {other}"),
    };
    distances[0] = distances[0].max(now);
    squares[0] += norm(g).powi(2);
    let rate = match o.word("init_step_form") {
        "learning-rate" if first => given,
        _ => distances[0] / (squares[0] + o.number("eps")).sqrt(),
    };
    along(o.number("lr") * rate, g)
}

pub fn dowg(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [x0, distances, squares] = state else { panic!("the state of dowg") };
    let given =
        if o.number("init_sq_distance") == 0.0 { o.number("eps") } else { o.number("init_sq_distance") };
    let now = if t == 1 { given } else { distance(p, x0).powi(2) };
    distances[0] = distances[0].max(now);
    squares[0] += distances[0] * norm(g).powi(2);
    along(o.number("lr") * distances[0] / (squares[0].sqrt() + o.number("eps")), g)
}

/// The rate that Adam has at a distance `d`.
fn found_rate(o: &Options, t: u64, d: f64) -> f64 {
    let (beta1, beta2) = (o.number("beta1"), o.number("beta2"));
    o.number("lr") * d * (1.0 - beta2.powf(t as f64)).sqrt() / (1.0 - beta1.powf(t as f64))
}

pub fn prodigy(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [m, v, s, x0, d, numerator, rate] = state else { panic!("the state of prodigy") };
    let (old, d0, beta2) = (d[0], o.number("d0"), o.number("beta2"));
    let beta3 = if o.number("beta3") == 0.0 { beta2.sqrt() } else { o.number("beta3") };
    rate[0] = found_rate(o, t, old);
    with_all(m, o.number("beta1"), g.iter().map(|g| old * g));
    with_all(v, beta2, g.iter().map(|g| (old * g).powi(2)));
    let weight = if o.flag("safeguard_warmup") { old } else { rate[0] } / d0 * old;
    s.iter_mut().zip(g).for_each(|(s, g)| *s = beta3 * *s + weight * g);
    let progress: f64 = g.iter().zip(&*x0).zip(p).map(|((g, x0), p)| g * (x0 - p)).sum();
    numerator[0] = beta3 * numerator[0] + old / d0 * rate[0] * progress;
    d[0] = estimate(old, o.number("growth") * numerator[0], s);
    let (rate, eps, decay) = (rate[0], d[0] * o.number("eps"), update_decay(o));
    m.iter().zip(&*v).zip(p).map(|((m, v), p)| rate * (m / (v.sqrt() + eps) + decay * p)).collect()
}

/// The distance to the solution as a quotient, if it is larger.
fn estimate(old: f64, numerator: f64, sum: &[f64]) -> f64 {
    let size: f64 = sum.iter().map(|s| s.abs()).sum();
    if size > 0.0 { old.max(numerator / size) } else { old }
}

pub fn dadapt_adam(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [m, v, s, d, numerator, rate] = state else { panic!("the state of dadapt_adam") };
    let (eps, beta2, decay) = (o.number("eps"), o.number("beta2"), update_decay(o));
    let b = beta2.sqrt();
    rate[0] = found_rate(o, t, d[0]);
    let progress: f64 = g.iter().zip(&*s).zip(&*v).map(|((g, s), v)| g * s / (v.sqrt() + eps)).sum();
    with_all(m, o.number("beta1"), along(rate[0], g).into_iter());
    with_all(v, beta2, g.iter().map(|g| g * g));
    with_all(s, b, along(rate[0], g).into_iter());
    numerator[0] = b * numerator[0] + (1.0 - b) * rate[0] * progress;
    d[0] = estimate(d[0], numerator[0] / (1.0 - b), s);
    m.iter().zip(&*v).zip(p).map(|((m, v), p)| m / (v.sqrt() + eps) + rate[0] * decay * p).collect()
}

pub fn schedulefree_sgd(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [z, scalars @ ..] = state else { panic!("the state of schedulefree_sgd") };
    schedule_free(o, t, o.number("momentum"), p, g, z, scalars)
}

pub fn schedulefree_adamw(o: &Options, t: u64, p: &[f64], g: &[f64], state: &mut [Vec<f64>]) -> Vec<f64> {
    let [z, v, scalars @ ..] = state else { panic!("the state of schedulefree_adamw") };
    let (beta2, eps, decay) = (o.number("beta2"), o.number("eps"), update_decay(o));
    with_all(v, beta2, g.iter().map(|g| g * g));
    let correction = 1.0 - beta2.powf(t as f64);
    let element = |((v, p), g): ((&f64, &f64), &f64)| g / ((v / correction).sqrt() + eps) + decay * p;
    let u: Vec<f64> = v.iter().zip(p).zip(g).map(element).collect();
    schedule_free(o, t, o.number("beta1"), p, &u, z, scalars)
}

/// As the authors' code: the parameters go towards `z`, and a part of the update further; `z` goes all of it.
fn schedule_free(
    o: &Options,
    t: u64,
    beta: f64,
    p: &[f64],
    u: &[f64],
    z: &mut [f64],
    scalars: &mut [Vec<f64>],
) -> Vec<f64> {
    let [sum, largest] = scalars else { panic!("the scalars of a schedule-free rule") };
    let warmup = o.number("warmup_steps");
    let lr = o.number("lr") * if (t as f64) < warmup { t as f64 / warmup } else { 1.0 };
    largest[0] = largest[0].max(lr);
    let weight = (t as f64).powf(o.number("r")) * largest[0].powf(o.number("weight_lr_power"));
    sum[0] += weight;
    let c = if sum[0] == 0.0 { 0.0 } else { weight / sum[0] };
    let element = |((z, p), u): ((&mut f64, &f64), &f64)| {
        let new = (1.0 - c) * p + c * *z + lr * (beta * (1.0 - c) - 1.0) * u;
        *z -= lr * u;
        p - new
    };
    z.iter_mut().zip(p).zip(u).map(element).collect()
}
