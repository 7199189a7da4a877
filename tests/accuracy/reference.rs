//! The rules once more, one element in `f64`, from the formulas of the papers and of the frameworks' documentation:
//! nothing is folded, and nothing but the options is shared with the crate.

mod adam;
mod adaptive;
mod denominator;
mod descent;
mod sign;

use std::cell::Cell;

use gradstep::{AnyRule, Rule, Value};

/// From options, step number (from 1), parameter, gradient and state to the new parameter. Writes the new
/// state.
type Formula = fn(&Options, u64, f64, f64, &mut [f64]) -> f64;

fn formula(name: &str) -> Formula {
    match name {
        "sgd" => descent::sgd,
        "momentum" | "sgdw" => descent::momentum,
        "qhm" => descent::qhm,
        "asgd" => descent::asgd,
        "adagrad" => adaptive::adagrad,
        "rmsprop" => adaptive::rmsprop,
        "adadelta" => adaptive::adadelta,
        "ftrl" => adaptive::ftrl,
        "madgrad" => adaptive::madgrad,
        "adam" | "adamw" => adam::adam,
        "nadam" | "nadamw" => adam::nadam,
        "radam" => adam::radam,
        "qhadam" => adam::qhadam,
        "adan" => adam::adan,
        "ademamix" => adam::ademamix,
        "adamax" => denominator::adamax,
        "adabelief" => denominator::adabelief,
        "yogi" => denominator::yogi,
        "adabound" | "amsbound" => denominator::adabound,
        "adopt" => denominator::adopt,
        "sophia" => denominator::sophia,
        "signsgd" => sign::signsgd,
        "signum" => sign::signum,
        "lion" => sign::lion,
        "rprop" => sign::rprop,
        name => panic!("{name} has no reference: add its formula to tests/accuracy/reference.rs"),
    }
}

/// State before the first step.
fn initial(o: &Options) -> Vec<f64> {
    let mut state = vec![0.0; o.rule.state().len()];
    match o.rule.name() {
        "adagrad" | "rmsprop" | "ftrl" => state[0] = o.number("initial_accumulator_value"),
        "yogi" => state.fill(o.number("initial_accumulator_value")),
        "rprop" => state[1] = o.number("lr"),
        _ => {}
    }
    state
}

/// One element under one rule.
pub struct Reference {
    options: Options,
    formula: Formula,
    p: f64,
    state: Vec<f64>,
    /// The largest magnitudes so far, of the parameter and of the rule's change.
    largest: f64,
    largest_change: f64,
}

impl Reference {
    pub fn new(rule: &AnyRule, p: f64) -> Self {
        let options = Options { rule: *rule, doubtful: Cell::new(false) };
        let (formula, state) = (formula(rule.name()), initial(&options));
        Self { options, formula, p, state, largest: p.abs(), largest_change: 0.0 }
    }

    /// Writes state that the rule leaves to its caller.
    pub fn fill(&mut self, slot: usize, value: f64) {
        self.state[slot] = value;
    }

    pub fn step(&mut self, t: u64, g: f64) {
        let (g, direction) = self.gradient(g);
        let mut change = self.change(t, g);
        let o = &self.options;
        if o.flag("cautious") && sign(change) * direction <= 0.0 {
            change = 0.0;
        }
        self.p = self.decayed(change);
        if o.word("l1_form") == "proximal" {
            self.p = sign(self.p) * (self.p.abs() - o.number("lr") * o.number("l1")).max(0.0);
        }
        self.largest = self.largest.max(self.p.abs());
    }

    /// The gradient that the rule sees, and its sign.
    fn gradient(&self, g: f64) -> (f64, f64) {
        let (o, p) = (&self.options, self.p);
        let given = if o.flag("maximize") { -g } else { g };
        let decay = if o.word("decay") == "coupled" { o.number("weight_decay") } else { 0.0 };
        let l1 = if o.word("l1_form") == "subgradient" { o.number("l1") } else { 0.0 };
        let mut g = given + decay * p;
        if l1 != 0.0 {
            g += l1 * o.sign(p, self.largest);
        }
        let size = given.abs() + decay * self.largest + l1;
        if g != given && g.abs() < 0.01 * size {
            o.doubtful.set(true);
        }
        (g, o.sign(g, size))
    }

    /// What the rule takes from the parameter. Most do not read it: from 0 their change is seen exactly, even
    /// one that vanishes beside the parameter.
    fn change(&mut self, t: u64, g: f64) -> f64 {
        let from = if self.reads_parameter() { self.p - self.decays_first() } else { 0.0 };
        let change = from - (self.formula)(&self.options, t, from, g, &mut self.state);
        self.largest_change = self.largest_change.max(change.abs());
        change
    }

    /// What decay takes from the parameter before the rule reads it.
    fn decays_first(&self) -> f64 {
        let o = &self.options;
        let part = match o.word("decay") {
            _ if o.flag("cautious_decay") => 0.0,
            "decoupled" => o.number("lr") * o.number("weight_decay"),
            "fixed" => o.number("weight_decay"),
            _ => 0.0,
        };
        part * self.p
    }

    fn reads_parameter(&self) -> bool {
        matches!(self.options.rule.name(), "asgd" | "ftrl" | "madgrad")
    }

    /// The parameter after the change and weight decay.
    fn decayed(&self, change: f64) -> f64 {
        let (o, old, new) = (&self.options, self.p, self.p - change);
        let (lr, decay) = (o.number("lr"), o.number("weight_decay"));
        let form = o.word("decay");
        if form == "coupled" || decay == 0.0 || o.flag("cautious_decay") && !self.towards_zero(change) {
            return new;
        }
        match form {
            "decoupled" => new - lr * decay * old,
            "decoupled-after" => new - lr * decay * new,
            "fixed" => new - decay * old,
            "fixed-after" => new - decay * new,
            "proximal" => new / (1.0 + lr * decay),
            other => panic!("no reference for decay {other}"),
        }
    }

    fn towards_zero(&self, change: f64) -> bool {
        // Where `f32` takes the new parameter from the old, the error is of the parameter's size.
        let parameter = if self.reads_parameter() { 0.1 * self.largest } else { 0.0 };
        self.options.sign(change, self.largest_change + parameter) * sign(self.p) > 0.0
    }

    /// Whether all that came after may hang on the sign of a rounding error.
    pub fn doubtful(&self) -> bool {
        self.options.doubtful.get()
    }

    /// The parameter, then the state in the rule's order.
    pub fn values(&self) -> Vec<f64> {
        std::iter::once(self.p).chain(self.state.iter().copied()).collect()
    }
}

/// The options of a rule, by name.
pub struct Options {
    rule: AnyRule,
    doubtful: Cell<bool>,
}

impl Options {
    fn number(&self, name: &str) -> f64 {
        match self.rule.get(name) {
            Some(Value::Number(number)) => number,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn flag(&self, name: &str) -> bool {
        match self.rule.get(name) {
            Some(Value::Flag(flag)) => flag,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn word(&self, name: &str) -> &'static str {
        match self.rule.get(name) {
            Some(Value::Choice(word)) => word,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The sign of a sum whose terms have `size`. Where it is so near to zero that `f32` may see the other
    /// sign, the element is doubtful from then on.
    fn sign(&self, x: f64, size: f64) -> f64 {
        if x != 0.0 && x.abs() < 1e-5 * size {
            self.doubtful.set(true);
        }
        sign(x)
    }
}

/// 1, -1, or 0 for zero.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// Moves an exponential average.
fn average(mean: &mut f64, beta: f64, x: f64) {
    *mean = beta * *mean + (1.0 - beta) * x;
}

/// An average without its bias to the zero that it began with.
fn corrected(mean: f64, beta: f64, t: u64) -> f64 {
    mean / (1.0 - beta.powf(t as f64))
}
