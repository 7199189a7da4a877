//! The frameworks' own numbers: trajectories that `tests/golden/rules.py` recorded from PyTorch, Keras and optax.
//!
//! A framework's run in `f64` is the truth. Ours, in `f32`, may be no farther from it than the framework's own run in
//! `f32` times [`FACTOR`], or than a floor where that run happens to be nearly exact.

#[path = "golden/record.rs"]
mod record;

use std::collections::BTreeMap;

use gradstep::{AnyRule, Backend, Rule, Value, new_state};
use record::{Case, Record, Run};
use testkit::{slices, ulps};

/// How much farther from the truth than the framework's own `f32` run.
const FACTOR: f64 = 2.0;

/// In units in the last place of the largest magnitude that a parameter has had.
const PARAMS_FLOOR: f64 = 8.0;

/// In units in the last place of the value itself, of which the last one alone is recorded: where gradients change
/// sign, an average is much smaller than it was, and its rounding errors are not.
const STATE_FLOOR: f64 = 20.0;

/// Rules that have other floors, of the parameters and of the state.
const FLOORS: &[(&str, f64, f64)] = &[
    // With L2, a quotient in the momentum magnifies a rounding error of the parameter where g + wd*p is nearly 0.
    ("rmsprop", PARAMS_FLOOR, 128.0),
    // A step sets the parameter anew, from a sum over all steps in which large terms cancel.
    ("madgrad", 32.0, STATE_FLOOR),
    // In one run an average ends near zero, with what it had of errors when it was large.
    ("prodigy", PARAMS_FLOOR, 160.0),
    // Its rate is a quotient of sums whose terms partly cancel, and an error of the rate is one of every parameter.
    ("dadapt_adam", 64.0, STATE_FLOOR),
];

/// What the frameworks call our state slices.
const NAMES: &[(&str, &str, &str)] = &[
    ("keras", "momentum", "momentum_buffer=momentum"),
    ("keras", "adagrad", "sum=accumulator"),
    ("keras", "rmsprop", "square_avg=velocity momentum_buffer=momentum grad_avg=average_gradient"),
    ("keras", "adadelta", "square_avg=accumulated_grad acc_delta=accumulated_delta_var"),
    ("keras", "adam", "exp_avg=momentum exp_avg_sq=velocity max_exp_avg_sq=velocity_hat"),
    ("keras", "adamw", "exp_avg=momentum exp_avg_sq=velocity max_exp_avg_sq=velocity_hat"),
    ("keras", "adamax", "exp_avg=momentum exp_inf=norm"),
    ("keras", "nadam", "exp_avg=momentum exp_avg_sq=velocity"),
    ("keras", "lion", "exp_avg=momentum"),
    ("keras", "schedulefree_adamw", "z=momentum exp_avg_sq=velocity"),
    ("optax", "momentum", "momentum_buffer=trace"),
    ("optax", "adagrad", "sum=sum_of_squares"),
    ("optax", "rmsprop", "square_avg=nu momentum_buffer=trace grad_avg=mu"),
    ("optax", "adadelta", "square_avg=e_g acc_delta=e_x"),
    ("optax", "lars", "momentum_buffer=trace"),
    ("optax", "lamb", "exp_avg=mu exp_avg_sq=nu"),
    ("optax", "novograd", "exp_avg=mu"),
    ("optax", "dog", "x0=init_params"),
    ("optax", "dowg", "x0=init_params"),
    ("optax", "prodigy", "exp_avg=exp_avg exp_avg_sq=exp_avg_sq grad_sum=grad_sum x0=params0"),
    ("optax", "schedulefree_adamw", "z=z exp_avg_sq=nu"),
    ("keras", "lamb", "exp_avg=momentum exp_avg_sq=velocity"),
    ("optax", "adam", "exp_avg=mu exp_avg_sq=nu max_exp_avg_sq=nu_max"),
    ("optax", "adamw", "exp_avg=mu exp_avg_sq=nu max_exp_avg_sq=nu_max"),
    ("optax", "adamax", "exp_avg=mu exp_inf=nu"),
    ("optax", "nadam", "exp_avg=mu exp_avg_sq=nu"),
    ("optax", "nadamw", "exp_avg=mu exp_avg_sq=nu"),
    ("optax", "radam", "exp_avg=mu exp_avg_sq=nu"),
    ("optax", "rprop", "prev=prev_updates step_size=step_sizes"),
    ("optax", "signum", "momentum_buffer=ema"),
    ("optax", "lion", "exp_avg=mu"),
    ("optax", "adabelief", "exp_avg=mu exp_avg_var=nu"),
    ("optax", "yogi", "exp_avg=mu exp_avg_sq=nu"),
    ("optax", "adan", "exp_avg=m exp_avg_diff=v exp_avg_sq=n prev_grad=g"),
    ("optax", "ademamix", "exp_avg=m1 exp_avg_slow=m2 exp_avg_sq=nu"),
    ("optax", "adopt", "exp_avg=mu exp_avg_sq=nu"),
    ("optax", "sophia", "exp_avg=mu hessian=nu"),
];

/// State that the caller fills and the rule only reads: the recorded one does not change.
const GIVEN: &[(&str, &str)] = &[("sophia", "hessian")];

fn rule(case: &Case) -> AnyRule {
    let mut rule = AnyRule::preset(&case.what, &case.framework).unwrap();
    for (name, value) in &case.options {
        rule.set(name, Value::parse(value)).unwrap_or_else(|error| panic!("{}: {error}", case.label()));
    }
    rule
}

/// The framework's name for one of our state slices.
fn name_of<'a>(case: &Case, slot: &'a str) -> &'a str {
    let names = NAMES.iter().find(|(framework, rule, _)| *framework == case.framework && *rule == case.what);
    let Some((.., names)) = names else { return slot };
    names.split(' ').find_map(|name| name.strip_prefix(slot)?.strip_prefix('=')).unwrap()
}

/// Our run, in the form of theirs.
fn run(rule: &AnyRule, record: &Record, case: &Case) -> Run {
    let mut params = record.input("params")[0].clone();
    let mut state = new_state(rule, &params);
    let mut slices = slices(&mut state);
    for (slot, slice) in rule.slots().iter().zip(&mut slices) {
        if GIVEN.contains(&(&case.what, slot.name)) {
            let given = case.run("float64").get("state", name_of(case, slot.name));
            slice.iter_mut().zip(given).for_each(|(value, &given)| *value = given as f32);
        }
    }
    let mut run = Run::default();
    for (t, grads) in (1u64..).zip(record.input("grads")) {
        Backend::detect().step(rule, t, &mut params, grads, &mut slices).unwrap();
        run.insert("step", &t.to_string(), widen(&params));
    }
    // Scalars are not recorded.
    for (slot, values) in rule.slots().iter().zip(&state).filter(|(slot, _)| slot.is_full()) {
        run.insert("state", name_of(case, slot.name), widen(values));
    }
    run
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}

/// The worst error of a run's parameters, and of its state.
fn errors(found: &Run, truth: &Run) -> (f64, f64) {
    let params = found.error("step", truth, "step");
    let state = truth.all("state").iter();
    let state = state.flat_map(|(name, values)| found.get("state", name).iter().zip(values));
    (params, state.fold(0.0, |worst, (&found, &truth)| worst.max(ulps(found, truth, truth.abs()))))
}

fn floors(rule: &str) -> (f64, f64) {
    let own = FLOORS.iter().find(|(name, ..)| *name == rule);
    own.map_or((PARAMS_FLOOR, STATE_FLOOR), |&(_, params, state)| (params, state))
}

#[test]
fn every_recorded_trajectory() {
    let record = Record::read(include_bytes!("golden/rules.txt.gz"));
    assert!(record.cases.len() > 250);
    let mut worst = BTreeMap::<&str, [f64; 4]>::new();
    for case in &record.cases {
        let rule = rule(case);
        let ours = run(&rule, &record, case);
        let truth = case.run("float64");
        assert_eq!(ours.names("state"), truth.names("state"), "{}", case.label());
        let (params, state) = errors(&ours, truth);
        let (their_params, their_state) = errors(case.run("float32"), truth);
        let (params_floor, state_floor) = floors(&case.what);
        for (what, ours, theirs, floor) in
            [("parameters", params, their_params, params_floor), ("state", state, their_state, state_floor)]
        {
            assert!(
                ours <= floor.max(FACTOR * theirs),
                "{}: {what} are {ours:.1} ULP from the truth, and the framework's own {theirs:.1}",
                case.label()
            );
        }
        let worst = worst.entry(&case.what).or_default();
        for (worst, new) in worst.iter_mut().zip([params, their_params, state, their_state]) {
            *worst = worst.max(new);
        }
    }
    for (rule, [params, their_params, state, their_state]) in worst {
        println!(
            "{rule}: parameters {params:.1} ULP (frameworks {their_params:.1}), state {state:.1} ({their_state:.1})"
        );
    }
}
