//! The forks of the options that every rule has, and of the defaults.

use gradstep::{Adam, AdamW, Decay, Error, L1, Momentum, Sgd};

use crate::{assert_close, assert_fork, run, run_from};

#[test]
fn weight_decay_coupled_or_decoupled() -> Result<(), Error> {
    let rule = Sgd::torch().lr(0.5)?.weight_decay(0.1)?;
    // For plain SGD they are the same algebra; with a moment they part.
    assert_close(&run(rule, &[0.0]).0, &[0.95]);
    assert_close(&run(rule.decay(Decay::Decoupled)?, &[0.0]).0, &[0.95]);
    let rule = Adam::torch().lr(0.5)?.weight_decay(0.1)?;
    // Coupled, the gradient of the decay is all there is, and Adam makes a whole step of it.
    assert_fork((&run(rule, &[0.0]).0, &[0.5]), (&run(rule.decay(Decay::Decoupled)?, &[0.0]).0, &[0.95]));
    assert_fork(
        (&run(AdamW::torch().lr(1.0)?, &[0.0]).0, &[0.99]),
        (&run(AdamW::keras().lr(1.0)?, &[0.0]).0, &[0.996]),
    );
    assert_close(&run(AdamW::optax().lr(1.0)?, &[0.0]).0, &[0.9999]);
    assert_close(&run(Adam::keras().lr(0.5)?.weight_decay(0.1)?, &[0.0]).0, &[0.95]);
    Ok(())
}

#[test]
fn maximize_climbs() -> Result<(), Error> {
    let rule = Sgd::torch().lr(0.5)?;
    assert_fork((&run(rule, &[1.0]).0, &[0.5]), (&run(rule.maximize(true)?, &[1.0]).0, &[1.5]));
    // The decay still shrinks.
    assert_close(&run(rule.weight_decay(0.1)?.maximize(true)?, &[1.0]).0, &[1.45]);
    Ok(())
}

#[test]
fn the_defaults_are_the_frameworks() {
    let lr = |name: &str, preset: &str| match gradstep::AnyRule::preset(name, preset).unwrap().get("lr") {
        Some(gradstep::Value::Number(lr)) => lr,
        other => panic!("{other:?}"),
    };
    for (name, torch, keras) in [
        ("sgd", 1e-3, 1e-2),
        ("momentum", 1e-3, 1e-2),
        ("adagrad", 1e-2, 1e-3),
        ("rmsprop", 1e-2, 1e-3),
        ("adadelta", 1.0, 1e-3),
        ("adam", 1e-3, 1e-3),
        ("adamw", 1e-3, 1e-3),
    ] {
        assert_eq!((lr(name, "torch"), lr(name, "keras")), (torch, keras), "{name}");
    }
}

#[test]
fn six_forms_of_decay() -> Result<(), Error> {
    let sgd = Sgd::torch().lr(0.5)?.weight_decay(0.25)?;
    let after_one = |decay| run(sgd.decay(decay).unwrap(), &[1.0]).0[0];
    // From 1 to 0.5 without decay. Under plain descent the coupled and the decoupled form agree.
    for (decay, expected) in [
        (Decay::Coupled, 1.0 - 0.5 * 1.25),
        (Decay::Decoupled, 1.0 - 0.5 - 0.125),
        (Decay::DecoupledAfter, 0.5 - 0.125 * 0.5),
        (Decay::Fixed, 1.0 - 0.5 - 0.25),
        (Decay::FixedAfter, 0.5 - 0.25 * 0.5),
        (Decay::Proximal, 0.5 / 1.125),
    ] {
        assert_close(&[after_one(decay)], &[expected]);
    }
    // Adam divides what is in the gradient away.
    let adam = Adam::torch().lr(0.5)?.eps(0.0)?.weight_decay(0.25)?;
    let (coupled, _) = run(adam, &[1.0]);
    let (decoupled, _) = run(adam.decay(Decay::Decoupled)?, &[1.0]);
    assert_fork((&coupled, &[0.5]), (&decoupled, &[0.375]));
    Ok(())
}

#[test]
fn l1_rests_at_zero_in_its_proximal_form() -> Result<(), Error> {
    let rule = Sgd::torch().lr(0.5)?.l1(0.5)?;
    let (subgradient, _) = run_from(0.125, rule, &[0.0, 0.0]);
    let (proximal, _) = run_from(0.125, rule.l1_form(L1::Proximal)?, &[0.0, 0.0]);
    assert_fork((&subgradient, &[-0.125, 0.125]), (&proximal, &[0.0, 0.0]));
    Ok(())
}

#[test]
fn cautious_updates_and_decay() -> Result<(), Error> {
    // The velocity, 0.9 - 0.1, still goes down when the gradient turns up.
    let rule = Momentum::torch().lr(1.0)?;
    let (bold, _) = run(rule, &[1.0, -0.1]);
    let (cautious, state) = run(rule.cautious(true)?, &[1.0, -0.1]);
    assert_fork((&bold, &[0.0, -0.8]), (&cautious, &[0.0, 0.0]));
    assert_close(&state, &[0.8]);

    // A step away from zero is not held back.
    let rule = Sgd::torch().lr(0.5)?.weight_decay(0.5)?.decay(Decay::Decoupled)?;
    let (always, _) = run(rule, &[-1.0]);
    let (towards_zero, _) = run(rule.cautious_decay(true)?, &[-1.0]);
    assert_fork((&always, &[1.25]), (&towards_zero, &[1.5]));
    assert_eq!(run(rule.cautious_decay(true)?, &[1.0]), run(rule, &[1.0]));
    Ok(())
}
