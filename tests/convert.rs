//! A run that is carried over to another convention goes on as it would have, or the refusal says what stands
//! in the way.

use std::collections::BTreeSet;

use gradstep::{
    AdaGrad, Adam, AdamEps, AdamW, AmsGrad, AnyRule, Decay, Error, Kind, L1, Lamb, Momentum, Options,
    RmsProp, Rule, Sgd, Value, Velocity, convert,
};
use testkit::{Buffers, Random, bits_of, configurations_of, signed, slices, twin};

const LEN: usize = 19;
const BEFORE: u64 = 7;
const AFTER: u64 = 12;

/// A run from step 1, with gradients that depend on the parameters as well.
#[derive(Clone)]
struct Run {
    buffers: Buffers,
    step: u64,
}

impl Run {
    fn new(rule: &impl Rule) -> Self {
        let params = signed(LEN, &mut Random(3));
        Self { buffers: Buffers::new(rule, params, vec![0.0; LEN]), step: 0 }
    }

    fn advance(&mut self, rule: &(impl Rule + Options)) {
        self.step += 1;
        let mut random = Random(self.step);
        self.buffers.grads = self.buffers.params.iter().map(|p| 0.5 * p + random.signed()).collect();
        twin::step(rule, self.step, &mut self.buffers);
    }

    fn convert<R: Rule + Options>(&mut self, from: &R, to: &R) -> Result<R, Error> {
        convert(from, to, self.step + 1, &mut slices(&mut self.buffers.state))
    }
}

fn after<R: Rule + Options>(rule: &R, steps: u64) -> Run {
    let mut run = Run::new(rule);
    (0..steps).for_each(|_| run.advance(rule));
    run
}

#[track_caller]
fn assert_close(label: &str, found: &[f32], expected: &[f32]) {
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        // Some configurations run away, with gradients beyond the bound of those that are squared.
        let same = bits_of(*found) == bits_of(*expected) || expected.abs() > 1e18;
        assert!(same || error <= 1e-6 * expected.abs().max(1.0), "{label}: {found:e} is not {expected:e}");
    }
}

/// Converts after some steps. Where that is possible, the run goes on as it would have, and back again leads
/// to the start; where not, the refusal names an option in which the rules differ, and nothing has changed.
fn check<R: Rule + Options>(label: &str, from: &R, to: &R) -> Result<R, &'static str> {
    let mut old = after(from, BEFORE);
    let mut new = old.clone();
    let rule = match new.convert(from, to) {
        Ok(rule) => rule,
        Err(Error::Inconvertible { option, .. }) => {
            assert_ne!(from.get(option), to.get(option), "{label}");
            assert_eq!(old.buffers.bits(), new.buffers.bits(), "{label}");
            return Err(option);
        }
        Err(other) => panic!("{label}: {other}"),
    };
    check_way_back(label, from, &rule, &old, &new);
    let only_now = from.get("eps_place") != to.get("eps_place");
    let mut now = rule;
    for _ in 0..AFTER {
        old.advance(from);
        new.advance(&now);
        assert_close(label, &new.buffers.params, &old.buffers.params);
        if only_now {
            now = new.convert(from, to).unwrap();
        }
    }
    Ok(rule)
}

fn check_way_back<R: Rule + Options>(label: &str, from: &R, rule: &R, old: &Run, new: &Run) {
    let mut back = new.clone();
    let returned = back.convert(rule, from).unwrap_or_else(|error| panic!("{label}, back: {error}"));
    for option in from.options() {
        match (from.get(option.name), returned.get(option.name)) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => {
                assert!((a - b).abs() <= 1e-14 * a, "{label}, back: {} is {b}, not {a}", option.name);
            }
            (a, b) => assert_eq!(a, b, "{label}, back: {}", option.name),
        }
    }
    for (slice, expected) in back.buffers.state.iter().zip(&old.buffers.state) {
        assert_close(&format!("{label}, back"), slice, expected);
    }
}

/// `to` with all numbers of `from`, but for those that are themselves a matter of convention.
fn with_numbers_of(from: &AnyRule, mut to: AnyRule) -> AnyRule {
    for option in from.options() {
        if let (Kind::Number(_), Some(value)) = (option.kind, from.get(option.name))
            && !["eps", "eps_root", "dampening"].contains(&option.name)
        {
            let _ = to.set(option.name, value);
        }
    }
    to
}

/// What each option can be set to.
fn values(kind: Kind) -> Vec<Value<'static>> {
    match kind {
        Kind::Number(_) => vec![Value::Number(0.0), Value::Number(0.25), Value::Number(1.25)],
        Kind::Flag => vec![Value::Flag(false), Value::Flag(true)],
        Kind::Choice(words) => words.iter().map(|word| Value::Choice(word)).collect(),
    }
}

#[test]
fn all_presets_of_a_rule() {
    for name in AnyRule::NAMES {
        let presets = AnyRule::presets(name).iter().map(|preset| AnyRule::preset(name, preset).unwrap());
        let mut presets: Vec<AnyRule> = presets.collect();
        for i in 0..presets.len() {
            let mut laden = presets[i];
            for (option, value) in [("weight_decay", 0.03), ("l1", 0.01), ("momentum", 0.75)] {
                let _ = laden.set(option, value);
                assert!(laden.check().is_ok());
            }
            presets.push(laden);
        }
        for (from, to) in presets.iter().flat_map(|from| presets.iter().map(move |to| (from, to))) {
            let label = format!("{from:?} to {to:?}");
            let _ = check(&label, from, to);
            let _ = check(&label, from, &with_numbers_of(from, *to));
            assert_eq!(check(&label, from, from), Ok(*from));
        }
    }
}

#[test]
fn every_option_of_every_rule() {
    let mut converted = BTreeSet::new();
    for name in AnyRule::NAMES {
        for configuration in configurations_of(name) {
            let from = configuration.rule;
            for option in from.options() {
                for value in values(option.kind) {
                    let mut to = from;
                    if to.set(option.name, value).is_err() || to.check().is_err() || to == from {
                        continue;
                    }
                    let label = format!("{} to {} {value}", configuration.label, option.name);
                    match check(&label, &from, &to) {
                        Ok(_) => {
                            converted.insert(option.name);
                        }
                        Err(refused) => assert_eq!(refused, option.name, "{label}"),
                    }
                }
            }
        }
    }
    let carried = ["lr", "weight_decay", "l1", "eps", "eps_root", "initial_accumulator_value"];
    let algebra = ["velocity", "dampening", "eps_place", "decay", "l1_form"];
    assert_eq!(converted, carried.into_iter().chain(algebra).collect());
}

const VELOCITIES: [Velocity; 4] =
    [Velocity::Sum, Velocity::LrInside, Velocity::LrInsideNegative, Velocity::Average];

#[test]
fn velocities() -> Result<(), Error> {
    for (nesterov, decay) in [(false, Decay::Decoupled), (true, Decay::Proximal), (false, Decay::Coupled)] {
        let rule = Momentum::torch().lr(0.125)?.momentum(0.75)?.nesterov(nesterov)?;
        let rule = rule.decay(decay)?.weight_decay(0.5)?.l1(0.25)?.l1_form(L1::Proximal)?;
        let heavy = RmsProp::torch().momentum(0.75)?.centered(true)?.nesterov(nesterov)?;
        for (a, b) in VELOCITIES.iter().flat_map(|a| VELOCITIES.map(|b| (*a, b))) {
            let (from, to) = (rule.velocity(a)?, rule.velocity(b)?);
            let converted = check("momentum", &from, &to).unwrap();
            let scale = match (a, b) {
                (Velocity::Average, Velocity::Average) => 1.0,
                (Velocity::Average, _) => 0.25,
                (_, Velocity::Average) => 4.0,
                _ => 1.0,
            };
            let part = if decay == Decay::Coupled { 0.5 } else { 0.5 / scale };
            assert_eq!(converted, to.lr(0.125 * scale)?.weight_decay(part)?.l1(0.25 / scale)?);
            check("rmsprop", &heavy.velocity(a)?, &heavy.velocity(b)?).unwrap();
        }
    }
    Ok(())
}

#[test]
fn the_factor_of_a_velocity() -> Result<(), Error> {
    let rule = Momentum::torch().lr(0.5)?.momentum(0.75)?;
    for (a, b, expected) in [
        (Velocity::Sum, Velocity::LrInside, 0.5),
        (Velocity::Sum, Velocity::LrInsideNegative, -0.5),
        (Velocity::Sum, Velocity::Average, 0.25),
        (Velocity::LrInside, Velocity::Sum, 2.0),
        (Velocity::LrInside, Velocity::LrInsideNegative, -1.0),
        (Velocity::Average, Velocity::LrInside, 0.5),
    ] {
        let mut state = [1.0, f32::NAN, f32::NEG_INFINITY, -0.0];
        convert(&rule.velocity(a)?, &rule.velocity(b)?, 9, &mut [&mut state])?;
        assert_eq!(state[0], expected);
        assert!(state[1].is_nan());
        assert_eq!((state[2], state[3]), (f32::NEG_INFINITY * expected, 0.0));
    }
    Ok(())
}

#[test]
fn dampening_is_a_smaller_lr_after_the_first_step() -> Result<(), Error> {
    let burn = Momentum::burn().dampening(0.5)?.lr(0.25)?;
    let keras = check("burn", &burn, &Momentum::keras()).unwrap();
    assert_eq!(keras, Momentum::keras().lr(0.125)?);
    assert_eq!(check("keras", &keras, &burn), Ok(burn));
    // Neither at first, nor with Nesterov's gradient, nor at 1.
    let option = |from: Momentum, to: Momentum, step| match convert(&from, &to, step, &mut [&mut [1.0]]) {
        Err(Error::Inconvertible { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    assert_eq!(option(burn, Momentum::torch(), 1), "dampening");
    assert_eq!(option(burn.nesterov(true)?, Momentum::torch().nesterov(true)?, 2), "dampening");
    assert_eq!(option(burn.dampening(1.0)?, Momentum::torch(), 2), "dampening");
    assert_eq!(option(Momentum::torch(), burn.dampening(1.0)?, 2), "dampening");
    Ok(())
}

#[test]
fn a_change_of_lr_belongs_to_the_next_step() -> Result<(), Error> {
    // The velocity was collected at 0.5, and the next step is taken at 0.25.
    let mut run = after(&Momentum::textbook().lr(0.5)?, BEFORE);
    let mut new = run.clone();
    let from = Momentum::textbook().lr(0.25)?;
    let rule = new.convert(&from, &Momentum::torch())?;
    for _ in 0..AFTER {
        run.advance(&from);
        new.advance(&rule);
        assert_close("scheduled", &new.buffers.params, &run.buffers.params);
    }
    Ok(())
}

#[test]
fn eps_hat_is_exact_for_one_step_and_tends_to_eps() -> Result<(), Error> {
    let keras = Adam::keras().beta2(0.75)?.eps(0.5)?;
    let torch = Adam::torch().beta2(0.75)?;
    let mut old = after(&keras, BEFORE);
    let mut new = old.clone();
    let rule = new.convert(&keras, &torch)?;
    assert_eq!(rule.decay(Decay::Coupled)?, torch.eps(0.5 / (1.0 - 0.75f64.powi(8)).sqrt())?);
    assert_eq!(old.buffers.bits(), new.buffers.bits());
    old.advance(&keras);
    new.advance(&rule);
    assert_close("one step", &new.buffers.params, &old.buffers.params);
    // Late in a run, and without bias correction, the two are the same.
    let mut state = [[0.5f32], [0.5]];
    let [m, v] = &mut state;
    assert_eq!(convert(&keras, &torch, 1_000_000, &mut [m, v])?, torch.eps(0.5)?);
    let (from, to) = (keras.bias_correction2(false)?, torch.bias_correction2(false)?);
    assert_eq!(convert(&from, &to, 1, &mut [m, v])?, to.eps(0.5)?);
    Ok(())
}

#[test]
fn decay_beside_the_gradient() -> Result<(), Error> {
    let rule = AdamW::torch().lr(0.5)?.weight_decay(0.5)?;
    let fixed = check("fixed", &rule, &rule.decay(Decay::Fixed)?).unwrap();
    assert_eq!(fixed, rule.decay(Decay::Fixed)?.weight_decay(0.25)?);
    let proximal = rule.decay(Decay::Proximal)?;
    let fixed = check("proximal", &proximal, &rule.decay(Decay::FixedAfter)?).unwrap();
    assert_eq!(fixed, rule.decay(Decay::FixedAfter)?.weight_decay(0.2)?);
    let after = check("after", &proximal, &rule.decay(Decay::DecoupledAfter)?).unwrap();
    assert_eq!(after, rule.decay(Decay::DecoupledAfter)?.weight_decay(0.4)?);
    for other in [Decay::Coupled, Decay::FixedAfter, Decay::DecoupledAfter, Decay::Proximal] {
        assert_eq!(check("order", &rule, &rule.decay(other)?), Err("decay"));
    }
    // No proximal decay takes the whole parameter, and at an lr of 0 nothing is known.
    let whole = rule.decay(Decay::FixedAfter)?.weight_decay(1.0)?;
    assert_eq!(check("whole", &whole, &proximal), Err("decay"));
    assert_eq!(check("at rest", &rule.lr(0.0)?, &rule.decay(Decay::Fixed)?), Err("decay"));
    // Without decay, how it would enter matters not.
    assert!(check("none", &Adam::torch(), &AdamW::torch()).is_ok());
    Ok(())
}

/// For plain descent L2 is decay, unless something looks at the gradient's sign.
#[test]
fn coupled_decay_of_sgd() -> Result<(), Error> {
    let (torch, keras) = (Sgd::torch().weight_decay(0.5)?.lr(0.25)?, Sgd::keras());
    assert_eq!(check("sgd", &torch, &keras), Ok(keras.weight_decay(0.5)?.lr(0.25)?));
    assert_eq!(check("cautious", &torch.cautious(true)?, &keras.cautious(true)?), Err("decay"));
    let (torch, keras) = (Momentum::torch().weight_decay(0.5)?, Momentum::keras());
    assert_eq!(check("momentum", &torch, &keras), Err("decay"));
    Ok(())
}

#[test]
fn what_no_algebra_carries_over() -> Result<(), Error> {
    let amsgrad = Adam::torch().amsgrad(AmsGrad::Raw)?;
    assert_eq!(check("maximum", &amsgrad, &Adam::torch().amsgrad(AmsGrad::Corrected)?), Err("amsgrad"));
    assert_eq!(check("amsgrad", &Adam::torch(), &amsgrad), Err("amsgrad"));
    assert_eq!(check("betas", &Adam::torch(), &Adam::torch().beta1(0.8)?), Err("beta1"));
    assert_eq!(check("eps", &AdaGrad::torch(), &AdaGrad::keras()), Err("eps_place"));
    assert_eq!(check("no eps", &RmsProp::torch().eps(0.0)?, &RmsProp::torch()), Err("eps"));
    let both = Adam::torch().eps_root(1e-7)?;
    assert_eq!(check("eps_root", &both, &Adam::torch()), Err("eps_root"));
    let inside = Lamb::optax().weight_decay(0.1)?;
    assert_eq!(check("update", &inside, &Lamb::keras()), Err("decay"));
    assert_eq!(check("alpha", &RmsProp::keras(), &RmsProp::dfdx().alpha(0.5)?), Err("alpha"));
    assert_eq!(check("momentum", &RmsProp::torch(), &RmsProp::torch().momentum(0.5)?), Err("momentum"));
    for (name, preset, option) in [
        ("adamax", "keras", "eps_place"),
        ("sophia", "optax", "eps_place"),
        ("rprop", "optax", "delayed"),
        ("nadam", "keras", "momentum_decay"),
    ] {
        let from = AnyRule::named(name)?;
        let to = AnyRule::preset(name, preset)?;
        let mut to = if option == "momentum_decay" { to } else { with_numbers_of(&from, to) };
        let _ = to.set("bias_correction", false);
        assert_eq!(check(name, &from, &to), Err(option));
    }
    Ok(())
}

#[test]
fn by_name() -> Result<(), Error> {
    // AdamW is a name for presets of Adam, and SGDW of momentum.
    let keras = AnyRule::preset("adam", "keras")?;
    let found = check("adamw", &AnyRule::preset("adamw", "torch")?, &keras).unwrap();
    let mut expected = keras;
    expected.set("weight_decay", 0.01)?;
    expected.set("eps", found.get("eps").unwrap())?;
    assert_eq!(found, expected);
    let Some(Value::Number(eps)) = found.get("eps") else { panic!("{found:?}") };
    assert!((eps / (1e-8 * (1.0 - 0.999f64.powi(8)).sqrt()) - 1.0).abs() < 1e-12);

    // The same options, and two rules all the same.
    let refusal = convert(&AnyRule::named("sgd")?, &AnyRule::named("signsgd")?, 1, &mut []).unwrap_err();
    assert_eq!(refusal, Error::OtherRule { from: "sgd", to: "signsgd" });
    assert_eq!(refusal.to_string(), "a run under sgd cannot be carried over to signsgd");
    Ok(())
}

#[test]
fn refusals_change_nothing() -> Result<(), Error> {
    let (keras, torch) = (Momentum::keras(), Momentum::torch());
    let mut v = [1.0, 3e38];
    let refused = |from: &Momentum, to: &Momentum, step, state: &mut [&mut [f32]]| {
        let before: Vec<Vec<f32>> = state.iter().map(|slice| slice.to_vec()).collect();
        let error = convert(from, to, step, state).unwrap_err();
        assert!(before.iter().zip(state).all(|(before, slice)| before[..] == slice[..]));
        error
    };
    assert_eq!(refused(&keras, &torch, 0, &mut [&mut v]), Error::StepZero);
    let count = |found| Error::StateCount { rule: "momentum", expected: keras.slots(), found };
    assert_eq!(refused(&keras, &torch, 1, &mut []), count(0));
    assert_eq!(refused(&keras, &torch, 1, &mut [&mut v, &mut [0.0; 2]]), count(2));

    let velocity = |error| match error {
        Error::Inconvertible { rule: "momentum", option: "velocity", .. } => {}
        other => panic!("{other:?}"),
    };
    // The second element times 100 is beyond f32; the first is left alone as well.
    let error = refused(&keras, &torch, 1, &mut [&mut v]);
    velocity(error);
    let text = "momentum: velocity cannot be converted: an element of momentum_buffer would overflow";
    assert_eq!(error.to_string(), text);
    for (from, to) in [(keras, torch), (torch, keras), (torch, torch.velocity(Velocity::Average)?)] {
        velocity(refused(&from.lr(0.0)?, &to, 1, &mut [&mut v]));
    }
    let absurd = torch.dampening(0.5)?.velocity(Velocity::Average)?;
    for (from, to) in [(absurd, torch), (torch, absurd)] {
        assert!(matches!(refused(&from, &to, 1, &mut [&mut v]), Error::Conflict { rule: "momentum", .. }));
    }
    // A turned sign needs no lr.
    convert(&keras.lr(0.0)?, &Momentum::textbook(), 1, &mut [&mut v])?;
    assert_eq!(v, [-1.0, -3e38]);

    let (mut m, mut s) = ([0.0; 2], [0.0; 3]);
    let rule = Adam::torch();
    let error = convert(&rule, &rule.eps_place(AdamEps::Hat)?, 1, &mut [&mut m, &mut s]).unwrap_err();
    assert_eq!(error, Error::Length { slice: "exp_avg_sq", expected: 2, found: 3 });
    // A velocity that RMSProp does not have is no reason to refuse.
    let still = RmsProp::torch().lr(0.0)?;
    assert!(convert(&still, &still.velocity(Velocity::LrInside)?, 1, &mut [&mut m]).is_ok());
    Ok(())
}
