//! The rules once more, one element in `f64`, from the formulas of the papers and of the frameworks' documentation:
//! nothing is folded, and nothing but the options is shared with the crate.

use gradstep::{AnyRule, Rule, Value};

/// One element under one rule.
pub struct Reference {
    options: Options,
    formula: fn(&Options, u64, f64, f64, &mut [f64]) -> f64,
    p: f64,
    state: Vec<f64>,
}

impl Reference {
    pub fn new(rule: &AnyRule, p: f64) -> Self {
        let formula = match rule.name() {
            "sgd" => sgd,
            "momentum" => momentum,
            "adagrad" => adagrad,
            "rmsprop" => rmsprop,
            "adadelta" => adadelta,
            "adam" | "adamw" => adam,
            name => panic!("{name} has no reference: add its formula to tests/accuracy/reference.rs"),
        };
        let options = Options(*rule);
        let mut state = vec![0.0; rule.state().len()];
        if matches!(rule.name(), "adagrad" | "rmsprop") {
            state[0] = options.number("initial_accumulator_value");
        }
        Self { options, formula, p, state }
    }

    pub fn step(&mut self, t: u64, g: f64) {
        let (o, old) = (&self.options, self.p);
        let mut g = if o.flag("maximize") { -g } else { g };
        let decay = o.number("weight_decay");
        match o.word("decay") {
            "coupled" => g += decay * old,
            "decoupled" => self.p -= o.number("lr") * decay * old,
            other => panic!("no reference for decay {other}"),
        }
        self.p = (self.formula)(o, t, self.p, g, &mut self.state);
    }

    /// The parameter, then the state in the rule's order.
    pub fn values(&self) -> Vec<f64> {
        std::iter::once(self.p).chain(self.state.iter().copied()).collect()
    }
}

/// The options of a rule, by name.
pub struct Options(AnyRule);

impl Options {
    fn number(&self, name: &str) -> f64 {
        match self.0.get(name) {
            Some(Value::Number(number)) => number,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Flag(flag)) => flag,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn word(&self, name: &str) -> &'static str {
        match self.0.get(name) {
            Some(Value::Choice(word)) => word,
            other => panic!("{name} is {other:?}"),
        }
    }
}

fn sgd(o: &Options, _: u64, p: f64, g: f64, _: &mut [f64]) -> f64 {
    p - o.number("lr") * g
}

fn momentum(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let dampening = if t == 1 { 0.0 } else { o.number("dampening") };
    follow(o, p, g, (1.0 - dampening) * g, &mut state[0])
}

/// The four conventions of velocity. `damped` is what enters the velocity of the convention "sum".
fn follow(o: &Options, p: f64, g: f64, damped: f64, v: &mut f64) -> f64 {
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

fn adagrad(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let lr = o.number("lr") / (1.0 + (t - 1) as f64 * o.number("lr_decay"));
    state[0] += g * g;
    if o.flag("rest_at_zero_sum") && state[0] == 0.0 {
        return p;
    }
    p - lr * g / ((state[0] + o.number("eps_root")).sqrt() + o.number("eps"))
}

fn rmsprop(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (alpha, centered, heavy) = (o.number("alpha"), o.flag("centered"), o.number("momentum") > 0.0);
    state[0] = alpha * state[0] + (1.0 - alpha) * g * g;
    let mut variance = state[0];
    if centered {
        let mean = state.last_mut().unwrap();
        *mean = alpha * *mean + (1.0 - alpha) * g;
        variance = (variance - *mean * *mean).max(0.0);
    }
    let u = g / ((variance + o.number("eps_root")).sqrt() + o.number("eps"));
    if heavy { follow(o, p, u, u, &mut state[1]) } else { p - o.number("lr") * u }
}

fn adadelta(o: &Options, _: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (rho, eps) = (o.number("rho"), o.number("eps"));
    state[0] = rho * state[0] + (1.0 - rho) * g * g;
    let delta = (state[1] + eps).sqrt() / (state[0] + eps).sqrt() * g;
    state[1] = rho * state[1] + (1.0 - rho) * delta * delta;
    p - o.number("lr") * delta
}

fn adam(o: &Options, t: u64, p: f64, g: f64, state: &mut [f64]) -> f64 {
    let (beta1, beta2) = (o.number("beta1"), o.number("beta2"));
    let (eps, eps_root) = (o.number("eps"), o.number("eps_root"));
    state[0] = beta1 * state[0] + (1.0 - beta1) * g;
    state[1] = beta2 * state[1] + (1.0 - beta2) * g * g;
    let correction = |beta: f64| if o.flag("bias_correction") { 1.0 - beta.powf(t as f64) } else { 1.0 };
    let (correction1, correction2) = (correction(beta1), correction(beta2));
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
