//! Every rule in every configuration against an `f64` reference written from the papers' formulas.
//!
//! An error is counted in units in the last place (ULP) of the largest magnitude that the value has had so far: a
//! parameter that passes through zero has not become infinitely wrong there.

#[path = "../common/mod.rs"]
mod common;
mod reference;
mod table;
#[path = "../common/ulps.rs"]
mod ulps;

use common::{Buffers, Configuration, Random, configurations_of, elementwise, presets};
use gradstep::{AnyRule, Backend, Rule, Value};
use reference::Reference;
use table::{Errors, Row, STEPS};
use ulps::ulps;

const ELEMENTS: usize = 37;

/// Without epsilon a zero gradient makes 0/0, and a centered variance is divided by its rounding error.
fn without_eps(rule: &AnyRule) -> bool {
    ["eps", "eps_root"].iter().all(|eps| matches!(rule.get(eps), None | Some(Value::Number(0.0))))
}

/// An average that forgets at once leaves nothing to divide by but the newest gradient, or what AdaBelief has of it: zero.
fn forgets_at_once(rule: &AnyRule) -> bool {
    let zero = |beta| rule.get(beta) == Some(Value::Number(0.0));
    zero("beta2") || rule.name() == "adabelief" && zero("beta1")
}

/// A centered variance is a difference. With bias correction it begins with a rounding error, as that of a single number is
/// zero; decay or L1 in the gradient give it a mean beside which it is one.
fn divides_by_rounding(rule: &AnyRule) -> bool {
    let on = |flag| rule.get(flag) == Some(Value::Flag(true));
    on("centered") && (without_eps(rule) || on("bias_correction") || may_cancel(rule))
}

fn has_reference(rule: &AnyRule) -> bool {
    !divides_by_rounding(rule) && !forgets_at_once(rule)
}

/// Where decay or L1 are a part of the gradient they may cancel it: that says nothing of the rule, and is mended by the
/// gradients that follow.
fn may_cancel(rule: &AnyRule) -> bool {
    let on = |name| !matches!(rule.get(name), None | Some(Value::Number(0.0)));
    on("l1") || on("weight_decay") && rule.get("decay") == Some(Value::Choice("coupled"))
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

/// A rule beside its reference, step by step.
struct Pair<'a> {
    configuration: &'a Configuration,
    random: Random,
    scales: Vec<f32>,
    real: Buffers,
    exact: Vec<Reference>,
    /// The largest magnitudes so far: of the parameter, and of each state slice.
    largest: Vec<Vec<f64>>,
    t: u64,
}

impl<'a> Pair<'a> {
    fn new(configuration: &'a Configuration) -> Self {
        let rule = &configuration.rule;
        let mut random = Random(7);
        let scales: Vec<f32> = (0..ELEMENTS).map(|i| 10f32.powi(i as i32 % 5 - 3)).collect();
        let params = (0..ELEMENTS).map(|_| random.signed()).collect();
        let mut real = Buffers::new(rule, params, vec![]);
        let mut exact = real.params.iter().map(|&p| Reference::new(rule, p.into())).collect::<Vec<_>>();
        fill_hessian(rule, &scales, &mut random, &mut real, &mut exact);
        let largest =
            exact.iter().map(|element| element.values().iter().map(|x| x.abs()).collect()).collect();
        Self { configuration, random, scales, real, exact, largest, t: 0 }
    }

    fn step_to(&mut self, last: u64) {
        let rule = &self.configuration.rule;
        for t in self.t + 1..=last {
            self.real.grads = gradient(rule, &self.scales, &mut self.random);
            self.real.step(Backend::detect(), rule, t).unwrap();
            let elements = self.exact.iter_mut().zip(&mut self.largest);
            for ((element, largest), &g) in elements.zip(&self.real.grads) {
                element.step(t, g.into());
                for (largest, value) in largest.iter_mut().zip(element.values()) {
                    *largest = largest.max(value.abs());
                }
            }
        }
        self.t = last;
    }

    /// Whether a reference without doubt is left, and the worst error of those.
    fn errors(&self) -> (usize, Errors) {
        let (mut certain, mut worst) = (0, Errors::default());
        for i in (0..ELEMENTS).filter(|&i| !self.exact[i].doubtful()) {
            certain += 1;
            let mut slots = self.errors_of(i).into_iter();
            worst.params = worst.params.max(slots.next().unwrap_or_default());
            worst.state = slots.fold(worst.state, f64::max);
        }
        (certain, worst)
    }

    /// Of the parameter, then of each state slice.
    fn errors_of(&self, i: usize) -> Vec<f64> {
        let state = self.real.state.iter().map(|slice| slice[i]);
        let found = std::iter::once(self.real.params[i]).chain(state);
        let values = found.zip(self.exact[i].values()).zip(&self.largest[i]);
        let error = |((found, truth), &largest): ((f32, f64), &f64)| {
            let error = ulps(found.into(), truth, largest);
            let (label, rule) = (&self.configuration.label, self.configuration.rule);
            assert!(error.is_finite(), "{label}, element {i}, step {}: {found} for {truth} {rule:?}", self.t);
            error
        };
        values.map(error).collect()
    }
}

/// The worst errors after so many steps in any of the configurations, and in which.
fn worst(configurations: &[Configuration], steps: u64) -> (Errors, String) {
    let (mut worst, mut labels) = (Errors::default(), [""; 2]);
    let (mut certain, mut all) = (0, 0);
    let fits = |c: &&Configuration| has_reference(&c.rule) && (steps > 1 || !may_cancel(&c.rule));
    for configuration in configurations.iter().filter(fits) {
        let mut pair = Pair::new(configuration);
        pair.step_to(steps);
        let (elements, errors) = pair.errors();
        (certain, all) = (certain + elements, all + ELEMENTS);
        if errors.params >= worst.params {
            (worst.params, labels[0]) = (errors.params, &configuration.label);
        }
        if errors.state >= worst.state {
            (worst.state, labels[1]) = (errors.state, &configuration.label);
        }
    }
    assert!(2 * certain > all, "{labels:?}: only {certain} of {all} elements are beyond doubt");
    (worst, format!("parameters in {}; state in {}", labels[0], labels[1]))
}

fn measure(name: &str) -> ([Errors; 3], [String; 3]) {
    let (few, many) = (presets(name), configurations_of(name));
    let columns = STEPS.map(|steps| worst(if steps > 1000 { &few } else { &many }, steps));
    (columns.each_ref().map(|column| column.0), columns.map(|column| column.1))
}

#[test]
fn every_rule_keeps_its_line_of_the_precision_table() {
    let writes = std::env::var_os("WRITE_PRECISION").is_some();
    let table = table::read();
    let mut rows: Vec<Row> = vec![];
    for name in elementwise() {
        let (errors, labels) = measure(name);
        println!("{name}: {errors:?} {labels:?}");
        if !writes {
            check(name, &table, errors, labels);
        }
        rows.push((name.to_owned(), errors));
    }
    if writes {
        table::write(&rows);
    }
}

fn check(name: &str, table: &[Row], errors: [Errors; 3], labels: [String; 3]) {
    let Some((_, allowed)) = table.iter().find(|(rule, _)| rule == name) else {
        panic!("{name} has no line in docs/precision.md: run WRITE_PRECISION=1 cargo test --test accuracy");
    };
    for (i, (found, allowed)) in errors.iter().zip(allowed).enumerate() {
        let within = found.params <= allowed.params && found.state <= allowed.state;
        let after = STEPS[i];
        assert!(within, "{name} after {after} steps: {found:?} ULP for {allowed:?}; {}", labels[i]);
    }
}

/// The table must be able to fail: a reference with another formula exceeds a line of it.
#[test]
fn a_wrong_formula_exceeds_the_table() {
    let rule = AnyRule::named("adam").unwrap();
    let mut wrong = rule;
    wrong.set("beta2", 0.998).unwrap();
    let configuration = Configuration { label: "adam".to_owned(), rule };
    let mut pair = Pair::new(&configuration);
    pair.exact = pair.real.params.iter().map(|&p| Reference::new(&wrong, p.into())).collect();
    pair.step_to(100);
    let (_, errors) = pair.errors();
    let (_, allowed) = table::read().into_iter().find(|(name, _)| name == "adam").unwrap();
    assert!(errors.params > 2.0 * allowed[1].params, "{errors:?} for {allowed:?}");
}
