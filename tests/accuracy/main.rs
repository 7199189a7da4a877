//! Every rule in every configuration against an `f64` reference written from the papers' formulas.
//!
//! An error is counted in units in the last place (ULP) of the largest magnitude that the value has had so far: a
//! parameter that passes through zero has not become infinitely wrong there.

mod reference;
mod table;

use gradstep::{AnyRule, Backend, Rule, Slot, Value};
use rayon::prelude::*;
use reference::Reference;
use table::{Errors, Row, STEPS};
use testkit::{Buffers, Configuration, Random, configurations_of, presets, ulps};

const ELEMENTS: usize = 37;

/// For the rules that add up over whole tensors, whose sums are of blocks of 4096; but not for 10,000 steps.
const MANY_ELEMENTS: usize = 5003;

/// Without epsilon a zero gradient makes 0/0, and a centered variance is divided by its rounding error.
fn without_eps(rule: &AnyRule) -> bool {
    ["eps", "eps_root"].iter().all(|eps| matches!(rule.get(eps), None | Some(Value::Number(0.0))))
}

/// An average that forgets at once leaves nothing to divide by but the newest gradient, or what AdaBelief has of it: zero.
fn forgets_at_once(rule: &AnyRule) -> bool {
    let zero = |beta| rule.get(beta) == Some(Value::Number(0.0));
    zero("beta2") || rule.name() == "adabelief" && zero("beta1")
}

/// A centered variance is a difference. With bias correction it begins with a rounding error, as that of a single
/// number is zero; decay or L1 in the gradient give it a mean beside which it is one.
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
    let within = matches!(rule.get("decay"), Some(Value::Choice("coupled" | "update")));
    on("l1") || on("weight_decay") && within
}

/// What the rules that find their rate start from.
const ESTIMATES: [&str; 3] = ["d0", "init_step", "init_sq_distance"];

fn finds_its_rate(rule: &AnyRule) -> bool {
    ESTIMATES.iter().any(|estimate| rule.get(estimate).is_some())
}

/// From the usual estimates the first steps are below the rounding of a parameter, and what is found is rounding.
fn from_a_visible_estimate(mut configuration: Configuration) -> Configuration {
    for estimate in ESTIMATES {
        if configuration.rule.get(estimate).is_some() {
            configuration.rule.set(estimate, 0.01).unwrap();
        }
    }
    configuration
}

/// Uniform in [-1, 1), with as many bits as an `f32` of this size has. `Random::signed` draws multiples of 2^-23, which near zero
/// are rounded less.
fn signed(random: &mut Random) -> f32 {
    (2.0 * random.unit() - 1.0) as f32
}

/// Gradients of everyday sizes, each element with a scale of its own. One in ten is zero, where that has a meaning.
fn gradient(rule: &AnyRule, scales: &[f32], params: &[f32], random: &mut Random) -> Vec<f32> {
    let rare = if without_eps(rule) { 1e-12 } else { 0.0 };
    let uphill = if rule.get("maximize") == Some(Value::Flag(true)) { -1.0 } else { 1.0 };
    let element = |(scale, p): (&f32, &f32)| {
        if random.below(10) == 0 {
            rare
        } else if finds_its_rate(rule) {
            // In a random walk there is no rate to be found: these are slopes of a bowl.
            scale * uphill * p
        } else {
            scale * signed(random)
        }
    };
    scales.iter().zip(params).map(element).collect()
}

/// Estimates of the curvature, some zero, which a rule leaves to its caller.
fn fill_hessian(
    rule: &AnyRule,
    scales: &[f32],
    random: &mut Random,
    real: &mut Buffers,
    exact: &mut Reference,
) {
    let Some(slot) = rule.slots().iter().position(|slot| slot.name == "hessian") else { return };
    for (i, scale) in scales.iter().enumerate() {
        let value = if random.below(10) == 0 { 0.0 } else { 100.0 * scale * signed(random).abs() };
        real.state[slot][i] = value;
        exact.fill(slot, i, value.into());
    }
}

/// A rule beside its reference, step by step.
struct Pair<'a> {
    configuration: &'a Configuration,
    random: Random,
    scales: Vec<f32>,
    real: Buffers,
    exact: Reference,
    /// The largest magnitudes so far, of each element: of the parameter, and of each state slice.
    largest: Vec<Vec<f64>>,
    t: u64,
}

impl<'a> Pair<'a> {
    fn new(configuration: &'a Configuration, elements: usize) -> Self {
        let rule = &configuration.rule;
        let mut random = Random(7);
        let scales: Vec<f32> = (0..elements).map(|i| 10f32.powi(i as i32 % 5 - 3)).collect();
        let params = (0..elements).map(|_| signed(&mut random)).collect();
        let mut real = Buffers::new(rule, params, vec![]);
        let mut exact = Reference::new(rule, &real.params);
        fill_hessian(rule, &scales, &mut random, &mut real, &mut exact);
        let largest = (0..elements).map(|i| exact.values(i).map(f64::abs).collect()).collect();
        Self { configuration, random, scales, real, exact, largest, t: 0 }
    }

    fn step_to(&mut self, last: u64) {
        let rule = &self.configuration.rule;
        for t in self.t + 1..=last {
            self.real.grads = gradient(rule, &self.scales, &self.real.params, &mut self.random);
            self.real.step(Backend::detect(), rule, t).unwrap();
            self.exact.step(t, &self.real.grads);
            for (i, largest) in self.largest.iter_mut().enumerate() {
                for (largest, value) in largest.iter_mut().zip(self.exact.values(i)) {
                    *largest = largest.max(value.abs());
                }
            }
        }
        self.t = last;
    }

    /// Whether a reference without doubt is left, and the worst error of those.
    fn errors(&self) -> (usize, Errors) {
        let (mut certain, mut worst) = (0, Errors::default());
        for i in (0..self.exact.len()).filter(|&i| !self.exact.doubtful(i)) {
            certain += 1;
            let mut slots = self.errors_of(i).into_iter();
            worst.params = worst.params.max(slots.next().unwrap_or_default());
            worst.state = slots.fold(worst.state, f64::max);
        }
        (certain, worst)
    }

    /// Of the parameter, then of each state slice.
    fn errors_of(&self, i: usize) -> Vec<f64> {
        let held = |(slot, slice): (&Slot, &Vec<f32>)| -> f64 {
            // A total is the sum of its two elements.
            if slot.is_full() { slice[i].into() } else { slice.iter().copied().map(f64::from).sum() }
        };
        let state = self.configuration.rule.slots().iter().zip(&self.real.state).map(held);
        let found = std::iter::once(self.real.params[i].into()).chain(state);
        let values = found.zip(self.exact.values(i)).zip(&self.largest[i]);
        let error = |((found, truth), &largest): ((f64, f64), &f64)| {
            let error = ulps(found, truth, largest);
            let (label, rule) = (&self.configuration.label, self.configuration.rule);
            assert!(error.is_finite(), "{label}, element {i}, step {}: {found} for {truth} {rule:?}", self.t);
            error
        };
        values.map(error).collect()
    }
}

fn elements(rule: &AnyRule, steps: u64) -> usize {
    if rule.measures().is_none_or(|measures| measures.sums().is_empty()) || steps > 1000 {
        ELEMENTS
    } else {
        MANY_ELEMENTS
    }
}

/// The worst errors after so many steps in any of the configurations, and in which.
fn worst(configurations: &[Configuration], steps: u64) -> (Errors, String) {
    let (mut worst, mut labels) = (Errors::default(), [""; 2]);
    let (mut certain, mut all) = (0, 0);
    let fits = |c: &&Configuration| has_reference(&c.rule) && (steps > 1 || !may_cancel(&c.rule));
    for configuration in configurations.iter().filter(fits) {
        let mut pair = Pair::new(configuration, elements(&configuration.rule, steps));
        pair.step_to(steps);
        let (elements, errors) = pair.errors();
        (certain, all) = (certain + elements, all + pair.exact.len());
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
    let start = |configurations: Vec<_>| configurations.into_iter().map(from_a_visible_estimate).collect();
    let (few, many): (Vec<_>, Vec<_>) = (start(presets(name)), start(configurations_of(name)));
    let columns = STEPS.map(|steps| worst(if steps > 1000 { &few } else { &many }, steps));
    (columns.each_ref().map(|column| column.0), columns.map(|column| column.1))
}

#[test]
fn every_rule_keeps_its_line_of_the_precision_table() {
    let measured: Vec<_> = AnyRule::NAMES.par_iter().map(|name| (*name, measure(name))).collect();
    let rows: Vec<Row> = measured.iter().map(|&(name, (errors, _))| (name.to_owned(), errors)).collect();
    if std::env::var_os("WRITE_PRECISION").is_some() {
        return table::write(&rows);
    }
    let table = table::read();
    for (name, (errors, labels)) in measured {
        println!("{name}: {errors:?} {labels:?}");
        check(name, &table, errors, labels);
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
    table::check_caps(&(name.to_owned(), errors));
}

/// A kernel without its bias correction, which the table must not take however it is asked to.
#[test]
fn blunder_is_beyond_the_caps() {
    let [configuration, ..] = &presets("adam")[..] else { panic!("adam has no preset") };
    let mut wrong = configuration.rule;
    wrong.set("bias_correction1", false).unwrap();
    let mut pair = Pair::new(configuration, ELEMENTS);
    pair.exact = Reference::new(&wrong, &pair.real.params);
    pair.step_to(1);
    let row = ("adam".to_owned(), [pair.errors().1, Errors::default(), Errors::default()]);
    assert!(std::panic::catch_unwind(|| table::check_caps(&row)).is_err(), "{row:?}");
}

/// The table must be able to fail: a reference with another number exceeds a line of it.
#[test]
fn a_wrong_formula_exceeds_the_table() {
    for (name, option, value) in
        [("adam", "beta2", 0.998), ("lamb", "beta2", 0.998), ("prodigy", "growth", 1.01)]
    {
        let [configuration, ..] = &presets(name)[..] else { panic!("{name} has no preset") };
        let configuration = from_a_visible_estimate(configuration.clone());
        let mut wrong = configuration.rule;
        wrong.set(option, value).unwrap();
        let mut pair = Pair::new(&configuration, ELEMENTS);
        pair.exact = Reference::new(&wrong, &pair.real.params);
        pair.step_to(100);
        let (_, errors) = pair.errors();
        let (_, allowed) = table::read().into_iter().find(|(rule, _)| rule == name).unwrap();
        assert!(errors.params > 2.0 * allowed[1].params, "{name}: {errors:?} for {allowed:?}");
    }
}
