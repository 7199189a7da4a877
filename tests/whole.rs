//! Rules that look at whole tensors: against references in `f64` written from the papers' formulas, and the same bits on
//! every backend, at any number of threads, for any cut-off and alignment.

mod common;
#[path = "common/ulps.rs"]
mod ulps;

use common::{Buffers, Random, configurations_of, whole};
use gradstep::{AnyRule, Backend, Rule, Scope, Tensor, Value, Workers};
use rayon::ThreadPoolBuilder;
use ulps::ulps;

/// Of the largest magnitude in the tensor: a norm is an error that all elements share.
const BUDGET: f64 = 64.0;

fn number(rule: &AnyRule, name: &str) -> f64 {
    match rule.get(name) {
        Some(Value::Number(number)) => number,
        other => panic!("{name} is {other:?}"),
    }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// A tensor in `f64`.
struct Exact {
    rule: AnyRule,
    p: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
    s: Vec<f64>,
    /// Where training began, or schedule-free's `z`.
    x0: Vec<f64>,
    scalars: [f64; 2],
}

impl Exact {
    fn new(rule: AnyRule, params: &[f32]) -> Self {
        let p: Vec<f64> = params.iter().map(|&p| p.into()).collect();
        let zeros = vec![0.0; p.len()];
        let d0 = if rule.get("d0").is_some() { number(&rule, "d0") } else { 0.0 };
        Self { rule, m: zeros.clone(), v: zeros.clone(), s: zeros, x0: p.clone(), p, scalars: [d0, 0.0] }
    }

    fn step(&mut self, t: u64, g: &[f32]) {
        let (rule, coupled) = (self.rule, self.rule.get("decay") == Some(Value::Choice("coupled")));
        let (lr, decay) = (number(&rule, "lr"), number(&rule, "weight_decay"));
        let l2 = if coupled { decay } else { 0.0 };
        let g: Vec<f64> = g.iter().zip(&self.p).map(|(&g, p)| f64::from(g) + l2 * p).collect();
        // Decoupled decay comes first, and what the rule reads is decayed.
        self.p.iter_mut().for_each(|p| *p -= if coupled { 0.0 } else { lr * decay * *p });
        if t == 1 {
            self.x0.clone_from(&self.p);
        }
        let change = match rule.name() {
            "ngd" => self.ngd(lr, &g),
            "lars" => self.lars(lr, &g),
            "lamb" => self.lamb(lr, t, &g),
            "novograd" => self.novograd(lr, t, &g),
            "dog" => self.dog(lr, t, &g),
            "dowg" => self.dowg(lr, t, &g),
            "prodigy" => self.prodigy(lr, t, &g),
            "dadapt_adam" => self.dadapt_adam(lr, t, &g),
            "schedulefree_sgd" => self.schedule_free(lr, t, number(&rule, "momentum"), &g),
            "schedulefree_adamw" => {
                let u = self.normalised(t, &g);
                self.schedule_free(lr, t, number(&rule, "beta1"), &u)
            }
            name => panic!("{name} has no reference: add its formula to tests/whole.rs"),
        };
        self.p.iter_mut().zip(change).for_each(|(p, change)| *p -= change);
    }

    fn ngd(&self, lr: f64, g: &[f64]) -> Vec<f64> {
        let length = norm(g) + number(&self.rule, "eps");
        g.iter().map(|g| lr * g / length).collect()
    }

    fn lars(&mut self, lr: f64, g: &[f64]) -> Vec<f64> {
        let (mu, eps) = (number(&self.rule, "momentum"), number(&self.rule, "eps"));
        let ratio = number(&self.rule, "trust_coefficient") * norm(&self.p) / (norm(g) + eps);
        let nesterov = self.rule.get("nesterov") == Some(Value::Flag(true));
        let element = |(v, g): (&mut f64, &f64)| {
            *v = mu * *v + lr * ratio * g;
            if nesterov { mu * *v + lr * ratio * g } else { *v }
        };
        self.m.iter_mut().zip(g).map(element).collect()
    }

    fn lamb(&mut self, lr: f64, t: u64, g: &[f64]) -> Vec<f64> {
        let option = |name| number(&self.rule, name);
        let (beta1, beta2, eps) = (option("beta1"), option("beta2"), option("eps"));
        let (eps_root, decay) = (option("eps_root"), option("update_decay"));
        let mut u = vec![];
        for (((m, v), p), g) in self.m.iter_mut().zip(&mut self.v).zip(&self.p).zip(g) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let (m, v) = (*m / (1.0 - beta1.powf(t as f64)), *v / (1.0 - beta2.powf(t as f64)));
            u.push(m / ((v + eps_root).sqrt() + eps) + decay * p);
        }
        let ratio = norm(&self.p) / norm(&u);
        u.iter().map(|u| lr * ratio * u).collect()
    }

    fn novograd(&mut self, lr: f64, t: u64, g: &[f64]) -> Vec<f64> {
        let option = |name| number(&self.rule, name);
        let (beta1, beta2, decay) = (option("beta1"), option("beta2"), option("update_decay"));
        let square = norm(g).powi(2);
        let mean = if t == 1 { square } else { beta2 * self.scalars[0] + (1.0 - beta2) * square };
        self.scalars[0] = mean;
        let length = (mean + option("eps_root")).sqrt() + option("eps");
        let element = |((m, p), g): ((&mut f64, &f64), &f64)| {
            *m = beta1 * *m + g / length + decay * p;
            lr * *m
        };
        self.m.iter_mut().zip(&self.p).zip(g).map(element).collect()
    }

    fn distance(&self) -> f64 {
        norm(&self.p.iter().zip(&self.x0).map(|(p, x0)| p - x0).collect::<Vec<_>>())
    }

    fn dog(&mut self, lr: f64, t: u64, g: &[f64]) -> Vec<f64> {
        let given = number(&self.rule, "init_step");
        let (first, first_rate) = match self.rule.get("init_step_form") {
            Some(Value::Choice("heuristic")) => (given * (1.0 + norm(&self.x0)), None),
            Some(Value::Choice("distance")) => (given, None),
            Some(Value::Choice("learning-rate")) => (0.0, Some(given)),
            other => panic!("no reference for init_step_form {other:?}"),
        };
        self.scalars[0] = self.scalars[0].max(if t == 1 { first } else { self.distance() });
        self.scalars[1] += norm(g).powi(2);
        let rate = self.scalars[0] / (self.scalars[1] + number(&self.rule, "eps")).sqrt();
        let rate = if t == 1 { first_rate.unwrap_or(rate) } else { rate };
        g.iter().map(|g| lr * rate * g).collect()
    }

    fn dowg(&mut self, lr: f64, t: u64, g: &[f64]) -> Vec<f64> {
        let now = if t == 1 { number(&self.rule, "init_sq_distance") } else { self.distance().powi(2) };
        self.scalars[0] = self.scalars[0].max(now);
        self.scalars[1] += self.scalars[0] * norm(g).powi(2);
        let rate = lr * self.scalars[0] / (self.scalars[1].sqrt() + number(&self.rule, "eps"));
        g.iter().map(|g| rate * g).collect()
    }
}

/// The rules that find their own rate, and those without a schedule.
impl Exact {
    /// The found rate, and sqrt(beta2).
    fn rate(&self, lr: f64, t: u64) -> (f64, f64) {
        let (beta1, beta2) = (number(&self.rule, "beta1"), number(&self.rule, "beta2"));
        let correction = (1.0 - beta2.powf(t as f64)).sqrt() / (1.0 - beta1.powf(t as f64));
        (lr * self.scalars[0] * correction, beta2.sqrt())
    }

    fn prodigy(&mut self, lr: f64, t: u64, g: &[f64]) -> Vec<f64> {
        let option = |name| number(&self.rule, name);
        let (beta1, beta2, d0, d) = (option("beta1"), option("beta2"), option("d0"), self.scalars[0]);
        let (eps, decay, growth) = (option("eps"), option("update_decay"), option("growth"));
        let (rate, usual) = self.rate(lr, t);
        let beta3 = if option("beta3") == 0.0 { usual } else { option("beta3") };
        let safeguard = self.rule.get("safeguard_warmup") == Some(Value::Flag(true));
        let progress: f64 = g.iter().zip(&self.x0).zip(&self.p).map(|((g, x0), p)| g * (x0 - p)).sum();
        for (i, g) in g.iter().enumerate() {
            self.m[i] = beta1 * self.m[i] + (1.0 - beta1) * d * g;
            self.v[i] = beta2 * self.v[i] + (1.0 - beta2) * (d * g).powi(2);
            self.s[i] = beta3 * self.s[i] + if safeguard { d } else { rate } / d0 * d * g;
        }
        self.scalars[1] = beta3 * self.scalars[1] + d / d0 * rate * progress;
        let size: f64 = self.s.iter().map(|s| s.abs()).sum();
        self.scalars[0] = d.max(growth * self.scalars[1] / size);
        let eps = self.scalars[0] * eps;
        let averages = self.m.iter().zip(&self.v).zip(&self.p);
        averages.map(|((m, v), p)| rate * (m / (v.sqrt() + eps) + decay * p)).collect()
    }

    fn dadapt_adam(&mut self, lr: f64, t: u64, g: &[f64]) -> Vec<f64> {
        let option = |name| number(&self.rule, name);
        let (beta1, beta2, eps) = (option("beta1"), option("beta2"), option("eps"));
        let decay = option("update_decay");
        let (rate, b) = self.rate(lr, t);
        let mut progress = 0.0;
        for (i, g) in g.iter().enumerate() {
            progress += g * self.s[i] / (self.v[i].sqrt() + eps);
            self.m[i] = beta1 * self.m[i] + (1.0 - beta1) * rate * g;
            self.v[i] = beta2 * self.v[i] + (1.0 - beta2) * g * g;
            self.s[i] = b * self.s[i] + (1.0 - b) * rate * g;
        }
        self.scalars[1] = b * self.scalars[1] + (1.0 - b) * rate * progress;
        let size: f64 = self.s.iter().map(|s| s.abs()).sum();
        self.scalars[0] = self.scalars[0].max(self.scalars[1] / ((1.0 - b) * size));
        let averages = self.m.iter().zip(&self.v).zip(&self.p);
        averages.map(|((m, v), p)| m / (v.sqrt() + eps) + rate * decay * p).collect()
    }

    fn normalised(&mut self, t: u64, g: &[f64]) -> Vec<f64> {
        let option = |name| number(&self.rule, name);
        let (beta2, eps, decay) = (option("beta2"), option("eps"), option("update_decay"));
        let element = |((v, p), g): ((&mut f64, &f64), &f64)| {
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            g / ((*v / (1.0 - beta2.powf(t as f64))).sqrt() + eps) + decay * p
        };
        self.v.iter_mut().zip(&self.p).zip(g).map(element).collect()
    }

    /// As the paper has it: gradient steps in `z`, their average in `x`, and the parameters between the two.
    fn schedule_free(&mut self, lr: f64, t: u64, beta: f64, u: &[f64]) -> Vec<f64> {
        let option = |name| number(&self.rule, name);
        let warmup = option("warmup_steps");
        let lr = if (t as f64) < warmup { lr * t as f64 / warmup } else { lr };
        self.scalars[1] = self.scalars[1].max(lr);
        let weight = (t as f64).powf(option("r")) * self.scalars[1].powf(option("weight_lr_power"));
        self.scalars[0] += weight;
        let c = weight / self.scalars[0];
        let element = |((z, y), u): ((&mut f64, &f64), &f64)| {
            let x = (y - (1.0 - beta) * *z) / beta;
            *z -= lr * u;
            let x = (1.0 - c) * x + c * *z;
            y - (beta * x + (1.0 - beta) * *z)
        };
        self.x0.iter_mut().zip(&self.p).zip(u).map(element).collect()
    }
}

fn gradients(len: usize, random: &mut Random) -> Vec<f32> {
    (0..len).map(|i| if i % 10 == 3 { 0.0 } else { 10f32.powi(i as i32 % 4 - 2) * random.signed() }).collect()
}

/// Every preset, with and without each form of decay, with a learning rate at which something happens.
fn variants(name: &str) -> Vec<AnyRule> {
    let presets = AnyRule::presets(name).iter().map(|preset| AnyRule::preset(name, preset).unwrap());
    let variant = |rule: AnyRule, decay: Option<&str>| {
        let mut rule = rule;
        if let Some(decay) = decay {
            rule.set("decay", decay).unwrap();
            rule.set("weight_decay", 0.1).unwrap();
        }
        for (option, value) in [("update_decay", 0.01), ("d0", 1e-3), ("warmup_steps", 10.0), ("r", 0.5)] {
            if rule.get(option).is_some() {
                rule.set(option, value).unwrap();
            }
        }
        rule
    };
    let decays = [None, Some("coupled"), Some("decoupled")];
    presets.flat_map(|rule| decays.map(|decay| variant(rule, decay))).collect()
}

#[test]
fn each_rule_is_its_formula() {
    for name in whole() {
        for rule in variants(name) {
            let mut random = Random(11);
            // More than two blocks.
            let params: Vec<f32> = (0..9001).map(|_| random.signed()).collect();
            let mut exact = Exact::new(rule, &params);
            let start = exact.p.clone();
            let mut real = Buffers::new(&rule, params, vec![]);
            for t in 1..=40 {
                real.grads = gradients(9001, &mut random);
                real.step(Backend::detect(), &rule, t).unwrap();
                exact.step(t, &real.grads);
            }
            let moved = exact.p.iter().zip(&start).map(|(p, x0)| (p - x0).abs()).fold(0.0, f64::max);
            assert!(moved > 1e-5, "{rule:?} did not move");
            let largest = exact.p.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
            let errors = real.params.iter().zip(&exact.p).map(|(&p, &truth)| ulps(p.into(), truth, largest));
            let worst = errors.fold(0.0, f64::max);
            assert!(worst <= BUDGET, "{rule:?}: {worst} ULP");
        }
    }
}

#[test]
fn backends_and_alignment_change_no_bit() {
    for configuration in whole().flat_map(configurations_of) {
        let rule = configuration.rule;
        for len in [0, 1, 15, 257, 4095, 4097, 10_007] {
            let mut random = Random(5);
            let start = Buffers::random(&rule, len, &mut random);
            let mut scalar = start.clone();
            scalar.step(Backend::SCALAR, &rule, 2).unwrap();
            for backend in Backend::available() {
                let mut real = start.clone();
                // Shifted: the slices begin one element behind.
                let mut params = [&[0.0], &real.params[..]].concat();
                let mut state: Vec<&mut [f32]> = real.state.iter_mut().map(Vec::as_mut_slice).collect();
                backend.step(&rule, 2, &mut params[1..], &real.grads, &mut state).unwrap();
                real.params = params[1..].to_vec();
                assert_eq!(
                    scalar.bits(),
                    real.bits(),
                    "{} on {backend}, {len} elements",
                    configuration.label
                );
            }
        }
    }
}

fn tensor(Buffers { params, grads, state }: &mut Buffers) -> Tensor<'_> {
    Tensor::new(params, grads, state.iter_mut().map(Vec::as_mut_slice)).unwrap()
}

fn tensors(model: &mut [Buffers]) -> Vec<Tensor<'_>> {
    model.iter_mut().map(tensor).collect()
}

#[test]
fn threads_and_cut_offs_change_no_bit() {
    for name in whole() {
        let rule = AnyRule::named(name).unwrap();
        let mut random = Random(9);
        let shapes = [70_000, 3, 0, 5000, 200_001];
        let start: Vec<Buffers> =
            shapes.iter().map(|&len| Buffers::random(&rule, len, &mut random)).collect();
        let bits = |model: &[Buffers]| model.iter().map(Buffers::bits).collect::<Vec<_>>();
        let mut serial = start.clone();
        Workers::serial().step_model(&rule, 3, &mut tensors(&mut serial)).unwrap();
        for threads in 1..4 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut shared = start.clone();
            let workers = Workers::rayon().serial_below(0);
            pool.install(|| workers.step_model(&rule, 3, &mut tensors(&mut shared))).unwrap();
            assert_eq!(bits(&serial), bits(&shared), "{name} on {threads} threads");
        }
    }
}

/// With a scope of its own, a tensor in a model is stepped as it would be alone; together, the norm is that of all.
#[test]
fn scopes() {
    for name in whole() {
        let rule = AnyRule::named(name).unwrap();
        let mut random = Random(13);
        let new = |len, random: &mut Random| {
            let params = (0..len).map(|_| random.signed()).collect();
            Buffers::new(&rule, params, gradients(len, random))
        };
        let mut model = vec![new(300, &mut random), new(500, &mut random)];
        let mut alone = model.clone();
        for t in 1..=3 {
            Workers::serial().step_model(&rule, t, &mut tensors(&mut model)).unwrap();
            for tensor in &mut alone {
                tensor.step(Backend::detect(), &rule, t).unwrap();
            }
        }
        let same = model.iter().zip(&alone).all(|(a, b)| a.bits() == b.bits());
        assert_eq!(same, rule.scope() == Scope::Tensor, "{name}");
        let slices = rule.state().len() - rule.scalars();
        let equal = model[0].state[slices..] == model[1].state[slices..];
        assert_eq!(equal, rule.scope() == Scope::Together || rule.sums().is_empty(), "{name}");
    }
}

#[test]
fn a_scalar_has_one_element() {
    let rule = AnyRule::named("lamb").unwrap();
    let (mut p, mut m, mut v, mut wrong) = ([1.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
    let refusal = gradstep::step(&rule, 1, &mut p, &[1.0; 4], &mut [&mut m, &mut v, &mut wrong]).unwrap_err();
    assert_eq!(refusal, gradstep::Error::Length { slice: "trust_ratio", expected: 1, found: 4 });
    assert_eq!(p, [1.0; 4]);
}
