//! What an optimizer takes and what it refuses: state of its own rule and convention, its own numbers of parameters and groups,
//! lengths that there can be.

use gradstep::{
    Adam, AmsGrad, AnyRule, Error, Momentum, Optimizer, Param, RmsProp, Rprop, Rule, Saved, Sgd, StateKind,
    Velocity, Workers,
};

type Values = Vec<(&'static str, Vec<f32>)>;

fn state_of<R: Rule>(optimizer: &Optimizer<R>, name: &str) -> Values {
    let saved = optimizer.saved(name).unwrap();
    saved.state.map(|(slot, values)| (slot, values.to_vec())).collect()
}

#[test]
fn rule_of_another_convention_is_refused_and_convert_is_named() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Momentum::torch().lr(0.01)?)?;
    let (id, mut params) = (optimizer.register("w", 1)?, [1.0]);
    let mut step = |optimizer: &mut Optimizer<Momentum>, grad| {
        let params = &mut params;
        optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut *params, &[grad])]).unwrap();
        params[0]
    };
    assert_eq!(step(&mut optimizer, 1.0), 0.99);
    let group = Optimizer::<Momentum>::FIRST_GROUP;
    let refusal = optimizer.set_rule(group, Momentum::keras()).unwrap_err();
    assert!(matches!(refusal, Error::OtherState { .. }));
    assert_eq!(
        refusal.to_string(),
        "the group's state was made by momentum/sum (momentum_buffer) and the rule needs that of \
         momentum/lr-inside-negative (momentum_buffer); `convert` carries a run over to another convention"
    );
    // The run goes on as if nothing had been asked.
    assert!((step(&mut optimizer, 0.0) - 0.981).abs() < 1e-6);
    Ok(())
}

/// Each pair of presets of each pair of rules: state goes over only where it means the same.
#[test]
fn state_goes_over_to_rules_of_its_own_kind_alone() -> Result<(), Error> {
    let presets = |name: &&'static str| {
        let name = *name;
        AnyRule::presets(name).iter().map(move |preset| AnyRule::preset(name, preset).unwrap())
    };
    let rules: Vec<AnyRule> = AnyRule::NAMES.iter().flat_map(presets).collect();
    for from in &rules {
        for to in &rules {
            let same = StateKind::of(from) == StateKind::of(to);
            let mut optimizer = Optimizer::new(*from)?;
            let id = optimizer.register("w", 1)?;
            let mut params = [1.0];
            optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut params, &[0.5])])?;
            let before = state_of(&optimizer, "w");
            let set = optimizer.set_rule(Optimizer::<AnyRule>::FIRST_GROUP, *to);
            assert_eq!(set.is_ok(), same, "{from:?} to {to:?}: {set:?}");
            assert_eq!(state_of(&optimizer, "w"), before);

            let mut target = Optimizer::new(*to)?;
            target.register("w", 1)?;
            let made_by = &StateKind::of(from).to_string();
            let state: Vec<_> = before.iter().map(|(slot, values)| (*slot, &values[..])).collect();
            let loaded = target.load("w", &Saved { made_by, step: 1, state: &state });
            assert_eq!(loaded.is_ok(), same, "{from:?} to {to:?}: {loaded:?}");
        }
    }
    Ok(())
}

#[test]
fn conventions_say_what_the_numbers_of_a_state_mean() -> Result<(), Error> {
    let written = |rule: &AnyRule| StateKind::of(rule).to_string();
    for (rule, kind) in [
        (AnyRule::Momentum(Momentum::torch()), "momentum/sum"),
        (AnyRule::Momentum(Momentum::torch().velocity(Velocity::Average)?), "momentum/average"),
        (AnyRule::named("sgdw")?, "momentum/lr-inside"),
        (AnyRule::named("adamw")?, "adam"),
        (AnyRule::named("adam")?, "adam"),
        (AnyRule::Adam(Adam::torch().amsgrad(AmsGrad::Raw)?), "adam/raw"),
        (AnyRule::Adam(Adam::torch().amsgrad(AmsGrad::Corrected)?), "adam/corrected"),
        (AnyRule::RmsProp(RmsProp::torch()), "rmsprop"),
        (AnyRule::RmsProp(RmsProp::torch().momentum(0.9)?), "rmsprop/sum"),
        (AnyRule::Rprop(Rprop::torch()), "rprop"),
        (AnyRule::Rprop(Rprop::optax()), "rprop/delayed"),
    ] {
        assert_eq!(written(&rule), kind);
    }
    Ok(())
}

#[test]
fn numbers_of_another_optimizer_are_refused() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AnyRule::named("sgd")?)?;
    let mut other = Optimizer::new(AnyRule::named("sgd")?)?;
    optimizer.register("weight", 1)?;
    let (foreign, group) = (other.register("bias", 1)?, other.add_group(AnyRule::Sgd(Sgd::torch()))?);
    let own_group = optimizer.add_group(AnyRule::Sgd(Sgd::torch()))?;
    let mut params = [1.0];
    let list = &mut [Param::new(foreign, &mut params, &[1.0])];
    let refusal = optimizer.step(&Workers::serial(), list).unwrap_err();
    assert_eq!(refusal, Error::OtherOptimizer { param: 0 });
    let unknown = Error::UnknownGroup { group: 1 };
    assert_eq!(optimizer.rule(group).unwrap_err(), unknown);
    assert_eq!(optimizer.set_lr(group, 0.5).unwrap_err(), unknown);
    assert_eq!(optimizer.register_in(group, "x", 1).unwrap_err(), unknown);
    assert_eq!(optimizer.set_rule(group, AnyRule::Sgd(Sgd::torch())).unwrap_err(), unknown);
    assert!(optimizer.set_lr(own_group, 0.5).is_ok());
    assert_eq!(params, [1.0]);
    Ok(())
}

/// Every rule, those without state and those with numbers about the whole tensor alone among them.
#[test]
fn impossible_lengths_are_refused() -> Result<(), Error> {
    for name in AnyRule::NAMES {
        let mut optimizer = Optimizer::new(AnyRule::named(name)?)?;
        for len in
            [usize::MAX, usize::MAX - 15, usize::MAX / 2, isize::MAX as usize, isize::MAX as usize / 4 + 1]
        {
            let refusal = optimizer.register("x", len);
            assert!(
                matches!(refusal, Err(Error::NoMemory { len: found, .. }) if found == len),
                "{name}: {refusal:?}"
            );
        }
        assert!(optimizer.id("x").is_err());
        optimizer.register("x", 0)?;
        assert_eq!(optimizer.save().count(), 1);
    }
    Ok(())
}

#[test]
fn empty_parameter_takes_steps() -> Result<(), Error> {
    for name in AnyRule::NAMES {
        let mut optimizer = Optimizer::new(AnyRule::named(name)?)?;
        let id = optimizer.register("x", 0)?;
        for t in 1..=3 {
            optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut [0.0; 0], &[0.0; 0])])?;
            assert_eq!(optimizer.saved("x")?.step, t, "{name}");
        }
    }
    Ok(())
}

/// State of step 0 is made anew by the first step, but for what the caller fills.
#[test]
fn loaded_state_of_step_zero_is_that_of_a_new_parameter() -> Result<(), Error> {
    let stepped = |name: &str, loaded: bool| {
        let mut optimizer = Optimizer::new(AnyRule::named(name).unwrap()).unwrap();
        let (id, mut params) = (optimizer.register("w", 1).unwrap(), [2.0]);
        if loaded {
            let kind = StateKind::of(optimizer.rule(Optimizer::<AnyRule>::FIRST_GROUP).unwrap());
            let state = kind
                .slots
                .iter()
                .map(|slot| (slot.name, if slot.len(1) == 1 { &[7.0][..] } else { &[7.0; 2] }));
            let state = state.collect::<Vec<_>>();
            let saved = Saved { made_by: &kind.to_string(), step: 0, state: &state };
            optimizer.load("w", &saved).unwrap();
        }
        optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut params, &[0.5])]).unwrap();
        (params, state_of(&optimizer, "w"))
    };
    for name in AnyRule::NAMES {
        let same = stepped(name, true) == stepped(name, false);
        assert_eq!(same, *name != "sophia", "{name}");
    }
    assert_eq!(stepped("sophia", true).1[1], ("hessian", vec![7.0]));
    Ok(())
}
