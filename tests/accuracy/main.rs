//! Every rule in every configuration against an `f64` reference written from the papers' formulas.
//!
//! An error is counted in units in the last place (ULP) of the largest magnitude that the value has had so far: a
//! parameter that passes through zero has not become infinitely wrong there.

#[path = "../common/mod.rs"]
mod common;
mod reference;
#[path = "../common/ulps.rs"]
mod ulps;

use common::{Buffers, Configuration, Random, configurations_of};
use gradstep::{AnyRule, Backend, Rule, Value};
use reference::Reference;
use ulps::ulps;

const ELEMENTS: usize = 37;
const STEPS: u64 = 300;

/// The worst error after [`STEPS`] steps that a rule may have in any configuration, in ULP: of a parameter, and of
/// state. Some 1.5 times what was measured.
const BUDGETS: &[(&str, f64, f64)] = &[
    ("sgd", 16.0, 0.0),
    ("momentum", 24.0, 25.0),
    ("adagrad", 24.0, 27.0),
    ("rmsprop", 24.0, 12.0),
    ("adadelta", 24.0, 18.0),
    ("adam", 27.0, 35.0),
    ("adamw", 27.0, 35.0),
];

/// Without epsilon a zero gradient makes 0/0, and a centered variance is divided by its rounding error.
fn without_eps(rule: &AnyRule) -> bool {
    ["eps", "eps_root"].iter().all(|eps| matches!(rule.get(eps), None | Some(Value::Number(0.0))))
}

fn has_reference(rule: &AnyRule) -> bool {
    !(without_eps(rule) && rule.get("centered") == Some(Value::Flag(true)))
}

/// Gradients of everyday sizes, each element with a scale of its own. One in ten is zero, where that has a meaning.
fn gradient(rule: &AnyRule, scales: &[f32], random: &mut Random) -> Vec<f32> {
    let rare = if without_eps(rule) { 1e-12 } else { 0.0 };
    scales.iter().map(|scale| if random.below(10) == 0 { rare } else { scale * random.signed() }).collect()
}

/// Estimates of the curvature, some zero, which a rule leaves to its caller.
fn fill_hessian(
    rule: &AnyRule,
    scales: &[f32],
    random: &mut Random,
    real: &mut Buffers,
    exact: &mut [Reference],
) {
    let Some(slot) = rule.state().iter().position(|name| *name == "hessian") else { return };
    for (i, element) in exact.iter_mut().enumerate() {
        let value = if random.below(10) == 0 { 0.0 } else { 100.0 * scales[i] * random.signed().abs() };
        real.state[slot][i] = value;
        element.fill(slot, value.into());
    }
}

/// The worst error of parameters, and of state, and the number of elements that were left out as doubtful.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    params: f64,
    state: f64,
    doubtful: usize,
}

impl Worst {
    fn of(self, other: Self) -> Self {
        Self {
            params: self.params.max(other.params),
            state: self.state.max(other.state),
            doubtful: self.doubtful + other.doubtful,
        }
    }
}

fn worst_error(configuration: &Configuration) -> Worst {
    let Configuration { label, rule } = configuration;
    let mut random = Random(7);
    let scales: Vec<f32> = (0..ELEMENTS).map(|i| 10f32.powi(i as i32 % 5 - 3)).collect();
    let params = (0..ELEMENTS).map(|_| random.signed()).collect();
    let mut real = Buffers::new(rule, params, vec![]);
    let mut exact: Vec<Reference> = real.params.iter().map(|&p| Reference::new(rule, p.into())).collect();
    fill_hessian(rule, &scales, &mut random, &mut real, &mut exact);
    let mut largest = vec![vec![0f64; 1 + rule.state().len()]; ELEMENTS];
    for t in 1..=STEPS {
        real.grads = gradient(rule, &scales, &mut random);
        real.step(Backend::detect(), rule, t).unwrap();
        for ((element, largest), &g) in exact.iter_mut().zip(&mut largest).zip(&real.grads) {
            element.step(t, g.into());
            for (largest, value) in largest.iter_mut().zip(element.values()) {
                *largest = largest.max(value.abs());
            }
        }
    }
    let mut worst = Worst::default();
    for (i, (element, largest)) in exact.iter().zip(&largest).enumerate() {
        if element.doubtful() {
            worst.doubtful += 1;
            continue;
        }
        let found = std::iter::once(real.params[i]).chain(real.state.iter().map(|slice| slice[i]));
        for (slot, ((found, truth), &largest)) in found.zip(element.values()).zip(largest).enumerate() {
            let error = ulps(found.into(), truth, largest);
            assert!(error.is_finite(), "{label}, element {i}, slot {slot}: {found} for {truth}");
            let worst = if slot == 0 { &mut worst.params } else { &mut worst.state };
            *worst = worst.max(error);
        }
    }
    worst
}

#[test]
fn every_rule_keeps_its_budget() {
    for name in AnyRule::NAMES {
        let &(_, params, state) = BUDGETS.iter().find(|(rule, ..)| rule == name).unwrap_or_else(|| {
            panic!("{name} has no accuracy budget: add a line to BUDGETS in tests/accuracy/main.rs")
        });
        let (mut worst, mut elements) = (Worst::default(), 0);
        for configuration in configurations_of(name).iter().filter(|c| has_reference(&c.rule)) {
            elements += ELEMENTS;
            let error = worst_error(configuration);
            let within = error.params <= params && error.state <= state;
            assert!(within, "{}: {error:?} ULP, where {params} and {state} are allowed", configuration.label);
            worst = worst.of(error);
        }
        assert!(
            8 * worst.doubtful < elements,
            "{name}: {} of {elements} elements are doubtful",
            worst.doubtful
        );
        println!("{name}: worst error after {STEPS} steps: {worst:?} ULP");
    }
}

/// The budget must be able to fail: a reference with another formula exceeds every one.
#[test]
fn a_wrong_formula_exceeds_the_budget() {
    let rule = AnyRule::named("adam").unwrap();
    let mut wrong = rule;
    wrong.set("beta2", 0.998).unwrap();
    let mut real = Buffers::new(&rule, vec![1.0], vec![0.5]);
    let mut exact = Reference::new(&wrong, 1.0);
    for t in 1..=STEPS {
        real.grads = vec![if t % 3 == 0 { -0.1 } else { 0.5 }];
        real.step(Backend::detect(), &rule, t).unwrap();
        exact.step(t, real.grads[0].into());
    }
    let error = ulps(real.params[0].into(), exact.values()[0], 1.0);
    assert!(error > BUDGETS.iter().fold(0.0, |most: f64, &(_, params, _)| most.max(params)), "{error}");
}
