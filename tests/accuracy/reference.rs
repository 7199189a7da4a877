//! The rules once more, in `f64`, from the formulas of the papers and of the frameworks' documentation: nothing is
//! folded, and nothing but the options is shared with the crate.

mod adam;
mod adaptive;
mod denominator;
mod descent;
mod element;
mod sign;
mod whole;

use std::cell::Cell;

use gradstep::{AnyRule, Rule, Slot, Value};

use element::Element;

/// From options, step number (from 1), parameter, gradient and state to the new parameter. Writes the new
/// state.
type ElementFormula = fn(&Options, u64, f64, f64, &mut [f64]) -> f64;

/// The same for a whole tensor: what is taken from each parameter. State is by slices, of which the last ones
/// may have one element.
type TensorFormula = fn(&Options, u64, &[f64], &[f64], &mut [Vec<f64>]) -> Vec<f64>;

/// What a rule does.
#[derive(Clone, Copy)]
enum Formula {
    Element(ElementFormula),
    Tensor(TensorFormula),
}

fn formula(name: &str) -> Formula {
    use Formula::{Element, Tensor};
    match name {
        "sgd" => Element(descent::sgd),
        "momentum" | "sgdw" => Element(descent::momentum),
        "qhm" => Element(descent::qhm),
        "asgd" => Element(descent::asgd),
        "adagrad" => Element(adaptive::adagrad),
        "rmsprop" => Element(adaptive::rmsprop),
        "adadelta" => Element(adaptive::adadelta),
        "ftrl" => Element(adaptive::ftrl),
        "madgrad" => Element(adaptive::madgrad),
        "adam" | "adamw" => Element(adam::adam),
        "nadam" | "nadamw" => Element(adam::nadam),
        "radam" => Element(adam::radam),
        "qhadam" => Element(adam::qhadam),
        "adan" => Element(adam::adan),
        "ademamix" => Element(adam::ademamix),
        "adamax" => Element(denominator::adamax),
        "adabelief" => Element(denominator::adabelief),
        "yogi" => Element(denominator::yogi),
        "adabound" | "amsbound" => Element(denominator::adabound),
        "adopt" => Element(denominator::adopt),
        "sophia" => Element(denominator::sophia),
        "signsgd" => Element(sign::signsgd),
        "signum" => Element(sign::signum),
        "lion" => Element(sign::lion),
        "rprop" => Element(sign::rprop),
        "ngd" => Tensor(whole::ngd),
        "lars" => Tensor(whole::lars),
        "lamb" => Tensor(whole::lamb),
        "novograd" => Tensor(whole::novograd),
        "dog" => Tensor(whole::dog),
        "dowg" => Tensor(whole::dowg),
        "prodigy" => Tensor(whole::prodigy),
        "dadapt_adam" => Tensor(whole::dadapt_adam),
        "schedulefree_sgd" => Tensor(whole::schedulefree_sgd),
        "schedulefree_adamw" => Tensor(whole::schedulefree_adamw),
        name => panic!("{name} has no reference: add its formula to tests/accuracy/reference.rs"),
    }
}

/// What a state slice holds before the first step.
fn initial(o: &Options, slot: usize) -> f64 {
    match (o.rule.name(), slot) {
        ("adagrad" | "rmsprop" | "ftrl", 0) | ("yogi", _) => o.number("initial_accumulator_value"),
        ("rprop", 1) => o.number("lr"),
        ("prodigy" | "dadapt_adam", _) if o.rule.slots()[slot].name == "d" => o.number("d0"),
        _ => 0.0,
    }
}

/// A tensor under one rule.
pub struct Reference {
    options: Options,
    formula: Formula,
    elements: Vec<Element>,
    /// By slices.
    state: Vec<Vec<f64>>,
}

impl Reference {
    pub fn new(rule: &AnyRule, params: &[f32]) -> Self {
        let options = Options::of(rule);
        let start = |(place, slot): (usize, &Slot)| match slot.name {
            "x0" | "z" => params.iter().map(|&p| p.into()).collect(),
            _ if slot.is_full() => vec![initial(&options, place); params.len()],
            _ => vec![initial(&options, place)],
        };
        let state = rule.slots().iter().enumerate().map(start).collect();
        let elements = params.iter().map(|&p| Element::new(rule, p.into())).collect();
        Self { options, formula: formula(rule.name()), elements, state }
    }

    /// Writes state that the rule leaves to its caller.
    pub fn fill(&mut self, slot: usize, i: usize, value: f64) {
        self.state[slot][i] = value;
    }

    pub fn step(&mut self, t: u64, grads: &[f32]) {
        match self.formula {
            Formula::Element(formula) => {
                for (i, &g) in grads.iter().enumerate() {
                    self.step_element(formula, t, i, g.into());
                }
            }
            Formula::Tensor(formula) => {
                let seen: Vec<f64> = self.elements.iter().map(Element::seen).collect();
                let grads = self.elements.iter().zip(grads).map(|(element, &g)| element.gradient(g.into()));
                let (grads, signs): (Vec<f64>, Vec<f64>) = grads.unzip();
                let changes = formula(&self.options, t, &seen, &grads, &mut self.state);
                for ((element, change), sign) in self.elements.iter_mut().zip(changes).zip(signs) {
                    element.take(change, sign);
                }
            }
        }
    }

    /// Most rules do not read the parameter: from 0 their change is seen exactly, even one that vanishes beside it.
    fn step_element(&mut self, formula: ElementFormula, t: u64, i: usize, g: f64) {
        let element = &mut self.elements[i];
        let (g, sign) = element.gradient(g);
        let from = if element.reads_parameter() { element.seen() } else { 0.0 };
        let mut state: Vec<f64> = self.state.iter().map(|slice| slice[i]).collect();
        let change = from - formula(element.options(), t, from, g, &mut state);
        self.state.iter_mut().zip(state).for_each(|(slice, new)| slice[i] = new);
        element.take(change, sign);
    }

    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether all that came after may hang on the sign of a rounding error.
    pub fn doubtful(&self, i: usize) -> bool {
        self.elements[i].options().doubtful.get()
    }

    /// Of one element the parameter, then the state in the rule's order.
    pub fn values(&self, i: usize) -> impl Iterator<Item = f64> {
        let state = self.state.iter().map(move |slice| slice[i.min(slice.len() - 1)]);
        std::iter::once(self.elements[i].p).chain(state)
    }
}

/// The options of a rule, by name.
pub struct Options {
    rule: AnyRule,
    doubtful: Cell<bool>,
}

impl Options {
    fn of(rule: &AnyRule) -> Self {
        Self { rule: *rule, doubtful: Cell::new(false) }
    }

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
