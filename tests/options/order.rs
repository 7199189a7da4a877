//! Options are set in any order, and a rule whose options contradict each other is refused wherever it is used, before
//! anything changes.

use gradstep::{
    Adam, AdamEps, AmsGrad, AnyRule, Decay, Error, Kind, L1, Madgrad, Momentum, Optimizer, Param, Pass,
    RmsProp, Rprop, Rule, Sgd, Tensor, Value, Velocity, Workers, convert, par_step, step, train,
};
use proptest::prelude::*;
use testkit::{Buffers, slices};

/// For each rule two or more options that exclude each other.
fn contradictory() -> Vec<AnyRule> {
    let rules: [(&str, &[(&str, Value<'static>)]); 17] = [
        ("adam", &[("amsgrad", "corrected".into()), ("eps_place", "hat".into())]),
        ("adam", &[("bias_correction2", false.into()), ("amsgrad", "corrected".into())]),
        ("momentum", &[("dampening", 0.1.into()), ("velocity", "average".into())]),
        ("rmsprop", &[("nesterov", true.into())]),
        ("rmsprop", &[("centered", true.into()), ("eps", 0.into()), ("bias_correction", true.into())]),
        ("rmsprop", &[("centered", true.into()), ("eps", 0.into()), ("alpha", 0.into())]),
        ("rprop", &[("step_size_max", 1e-3.into()), ("step_size_min", 1e-2.into())]),
        ("radam", &[("threshold", 3.into())]),
        ("ademamix", &[("beta1", 0.into()), ("beta3_warmup", 10.into())]),
        ("madgrad", &[("lr", 0.into()), ("eps", 0.into())]),
        ("adabound", &[("lr", 1e3.into()), ("final_lr", 1e5.into())]),
        ("adabelief", &[("beta1", 0.into()), ("eps", 0.into()), ("eps_root", 0.into())]),
        ("dowg", &[("eps", 0.into())]),
        ("prodigy", &[("d0", 1e-20.into())]),
        ("sgd", &[("decay", "update".into())]),
        ("lamb", &[("l1_form", "update".into())]),
        ("sgd", &[("lr", 1e6.into()), ("weight_decay", 1e4.into())]),
    ];
    let with = |(name, settings): (&str, &[(&str, Value<'static>)])| {
        let mut rule = AnyRule::named(name).unwrap();
        settings.iter().for_each(|&(option, value)| rule.set(option, value).unwrap());
        rule
    };
    let cautious = Sgd::torch().cautious_decay(true).unwrap();
    rules.into_iter().map(with).chain([AnyRule::Sgd(cautious)]).collect()
}

#[track_caller]
fn assert_conflict<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Conflict { .. })), "{result:?}");
}

#[test]
fn contradictory_rule_is_refused_by_every_entry_point_and_changes_nothing() {
    for rule in contradictory() {
        assert_conflict(rule.check());
        let mut buffers = Buffers::new(&rule, vec![1.0; 3], vec![0.5; 3]);
        let before = buffers.bits();
        let Buffers { params, grads, state } = &mut buffers;
        let mut state = slices(state);
        assert_conflict(step(&rule, 1, params, grads, &mut state));
        assert_conflict(par_step(&rule, 1, params, grads, &mut state));
        assert_conflict(convert(&rule, &rule, 1, &mut state));
        let slices: Vec<&mut [f32]> = state.iter_mut().map(|slice| &mut **slice).collect();
        let mut tensors = [Tensor::new(&mut *params, &*grads, slices).unwrap()];
        assert_conflict(Workers::serial().step_model(&rule, 1, &mut tensors));
        let mut tensors = [Tensor::new(&mut params[..], &grads[..], state).unwrap()];
        assert_conflict(Workers::serial().step_pass(&Pass::new(), &rule, 1, &mut tensors));
        assert_conflict(train::minimize(&rule, &train::Plan::default(), params, 0, |_, _, _| 0.0));
        assert_eq!(buffers.bits(), before);
    }
}

#[test]
fn contradictory_rule_is_refused_by_an_optimizer() -> Result<(), Error> {
    let usual = AnyRule::named("sgd")?;
    for rule in contradictory() {
        assert_conflict(Optimizer::new(rule).map(drop));
        let mut optimizer = Optimizer::new(usual)?;
        assert_conflict(optimizer.add_group(rule));
        assert_conflict(optimizer.set_rule(Optimizer::<AnyRule>::FIRST_GROUP, rule));
        assert_eq!(optimizer.rule(Optimizer::<AnyRule>::FIRST_GROUP), Ok(&usual));
    }
    Ok(())
}

/// A learning rate may contradict an option as well, and a schedule sets it at any time.
#[test]
fn contradictory_lr_is_refused_by_an_optimizer() -> Result<(), Error> {
    let group = Optimizer::<Madgrad>::FIRST_GROUP;
    let mut optimizer = Optimizer::new(Madgrad::paper().eps(0.0)?)?;
    assert_conflict(optimizer.set_lr(group, 0.0));
    assert_eq!(optimizer.lr(group), Ok(0.01));
    let (id, mut params) = (optimizer.register("p", 1)?, [1.0]);
    optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut params, &[0.1])])?;
    assert!(params[0].is_finite());
    Ok(())
}

#[test]
fn conflicting_options_of_typed_rules_may_be_set_in_any_order() -> Result<(), Error> {
    let early = RmsProp::torch().nesterov(true)?.momentum(0.9)?;
    assert_eq!(early, RmsProp::torch().momentum(0.9)?.nesterov(true)?);
    assert_eq!(early.check(), Ok(()));
    let small = Rprop::torch().step_size_max(1e-8)?.step_size_min(1e-9)?;
    assert_eq!(small.check(), Ok(()));
    let sum = Momentum::burn().velocity(Velocity::Average)?.dampening(0.0)?;
    assert_eq!(sum.check(), Ok(()));
    let largest = Adam::keras().amsgrad(AmsGrad::Corrected)?.eps_place(AdamEps::AfterCorrection)?;
    assert_eq!(largest.check(), Ok(()));
    let careful = Sgd::torch().cautious_decay(true)?.decay(Decay::Decoupled)?;
    assert_eq!(careful.check(), Ok(()));
    assert_conflict(careful.l1_form(L1::Update)?.check());
    Ok(())
}

/// Values of all kinds; some that no rule takes.
fn any_setting(rule: AnyRule) -> impl Strategy<Value = (&'static str, Value<'static>)> {
    prop::sample::select(rule.options()).prop_flat_map(|option| {
        let values: Vec<Value<'static>> = match option.kind {
            Kind::Number(_) => [0.0, 1e-20, 1e-8, 0.03, 0.75, 1.0, 5.0, 1e6].map(Value::Number).to_vec(),
            Kind::Flag => vec![Value::Flag(false), Value::Flag(true)],
            Kind::Choice(words) => words.iter().map(|word| Value::Choice(word)).collect(),
        };
        (Just(option.name), prop::sample::select(values))
    })
}

fn any_settings() -> impl Strategy<Value = (AnyRule, Vec<(&'static str, Value<'static>)>)> {
    let presets =
        AnyRule::NAMES.iter().flat_map(|name| AnyRule::presets(name).iter().map(move |p| (*name, *p)));
    let rule = prop::sample::select(presets.collect::<Vec<_>>())
        .prop_map(|(name, preset)| AnyRule::preset(name, preset).unwrap());
    rule.prop_flat_map(|rule| (Just(rule), prop::collection::vec(any_setting(rule), 1..=4)))
}

/// All orders of the numbers below `n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(n - 1);
    let with = |place: usize| {
        shorter.iter().map(move |order| {
            let mut order = order.clone();
            order.insert(place, n - 1);
            order
        })
    };
    (0..n).flat_map(with).collect()
}

/// What each setting came to, the rule, and its step's parameters.
fn outcome(
    mut rule: AnyRule,
    settings: &[(&str, Value<'static>)],
    order: &[usize],
) -> (Vec<bool>, AnyRule, Result<Vec<u32>, Error>) {
    let mut taken = vec![false; settings.len()];
    for &i in order {
        taken[i] = rule.set(settings[i].0, settings[i].1).is_ok();
    }
    let mut buffers = Buffers::new(&rule, vec![1.0, -0.5], vec![0.1, 0.2]);
    let stepped = buffers.step(gradstep::Backend::SCALAR, &rule, 1);
    let bits = buffers.params.iter().map(|p| p.to_bits()).collect();
    (taken, rule, stepped.map(|()| bits))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn settings_in_any_order_make_the_same_rule((rule, mut settings) in any_settings()) {
        settings.sort_by_key(|(option, _)| *option);
        settings.dedup_by_key(|(option, _)| *option);
        let orders = permutations(settings.len());
        let first = outcome(rule, &settings, &orders[0]);
        for order in &orders {
            prop_assert_eq!(&outcome(rule, &settings, order), &first, "{:?}", order);
        }
    }
}
