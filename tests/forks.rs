//! Every fork between the frameworks that these rules have: both sides by hand, and that they differ.

use gradstep::{
    AdaGrad, Adadelta, Adam, AdamEps, AdamW, Adamax, AdamaxEps, Adan, AmsGrad, Decay, Error, L1, Lion,
    LionMode, Momentum, NAdam, RmsProp, Rprop, Rule, ScheduleFreeSgd, Sgd, Velocity, init_state, step,
};

/// The parameter after each step from 1 under these gradients, and the state after the last.
fn run(rule: impl Rule, grads: &[f32]) -> (Vec<f32>, Vec<f32>) {
    run_from(1.0, rule, grads)
}

fn run_from(start: f32, rule: impl Rule, grads: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut params = [start];
    let mut state = vec![[0.0]; rule.state().len()];
    let mut slices: Vec<&mut [f32]> = state.iter_mut().map(|slice| &mut slice[..]).collect();
    init_state(&rule, &mut slices).unwrap();
    let mut path = vec![];
    for (t, g) in (1..).zip(grads) {
        step(&rule, t, &mut params, &[*g], &mut slices).unwrap();
        path.push(params[0]);
    }
    (path, state.iter().map(|slice| slice[0]).collect())
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= 3e-7 * expected.abs().max(1.0), "{found} is not {expected}");
    }
}

/// Two sides of a fork: what each gives, and that they differ by more than rounding.
#[track_caller]
fn assert_fork(one: (&[f32], &[f64]), other: (&[f32], &[f64])) {
    assert_close(one.0, one.1);
    assert_close(other.0, other.1);
    let apart = one.0.iter().zip(other.0).any(|(a, b)| (a - b).abs() > 1e-6);
    assert!(apart, "the two sides give the same: {:?}", one.0);
}

#[test]
fn lr_outside_or_inside_the_velocity_shows_when_it_changes() -> Result<(), Error> {
    let change = |rule: Momentum| {
        let (mut p, mut v) = ([1.0], [0.0]);
        step(&rule.lr(0.1).unwrap(), 1, &mut p, &[1.0], &mut [&mut v]).unwrap();
        step(&rule.lr(0.01).unwrap(), 2, &mut p, &[1.0], &mut [&mut v]).unwrap();
        [p[0], v[0]]
    };
    // Outside: v = 1, then .9 + 1 = 1.9; p = 1 - .1, then - .01*1.9.
    // Inside: v = .1, then .09 + .01 = .1; p = 1 - .1, then - .1.
    assert_fork((&change(Momentum::torch()), &[0.881, 1.9]), (&change(Momentum::textbook()), &[0.8, 0.1]));
    // Keras' sign.
    assert_close(&change(Momentum::keras()), &[0.8, -0.1]);
    Ok(())
}

#[test]
fn momentum_as_a_sum_or_an_average() -> Result<(), Error> {
    let rule = Momentum::torch().lr(0.1)?;
    let (sum, sum_state) = run(rule, &[1.0, 1.0]);
    let (average, average_state) = run(rule.velocity(Velocity::Average)?, &[1.0, 1.0]);
    assert_fork((&sum, &[0.9, 0.71]), (&average, &[0.99, 0.971]));
    assert_fork((&sum_state, &[1.9]), (&average_state, &[0.19]));
    Ok(())
}

#[test]
fn nesterov_in_each_convention() -> Result<(), Error> {
    let rule = Momentum::torch().lr(0.1)?;
    for (velocity, state) in [
        (Velocity::Sum, 1.9),
        (Velocity::LrInside, 0.19),
        (Velocity::LrInsideNegative, -0.19),
        (Velocity::Average, 0.19),
    ] {
        let scale = if velocity == Velocity::Average { 0.1 } else { 1.0 };
        let rule = rule.velocity(velocity)?;
        let (plain, _) = run(rule, &[1.0, 1.0]);
        let (nesterov, found) = run(rule.nesterov(true)?, &[1.0, 1.0]);
        // Plain: .1, .1*1.9. Nesterov: .1*(.9*1 + 1), .1*(.9*1.9 + 1).
        assert_fork(
            (&plain, &[1.0 - scale * 0.1, 1.0 - scale * 0.29]),
            (&nesterov, &[1.0 - scale * 0.19, 1.0 - scale * 0.461]),
        );
        assert_close(&found, &[state]);
    }
    Ok(())
}

#[test]
fn dampening_spares_the_first_step() -> Result<(), Error> {
    let rule = Momentum::torch().lr(0.1)?;
    let (whole, _) = run(rule, &[1.0, 1.0]);
    let (damped, state) = run(rule.dampening(0.5)?, &[1.0, 1.0]);
    // The first gradient enters whole: v = 1, then .9 + .5.
    assert_fork((&whole, &[0.9, 0.71]), (&damped, &[0.9, 0.76]));
    assert_close(&state, &[1.4]);
    assert_close(&run(Momentum::burn().lr(0.1)?, &[1.0, 1.0]).1, &[1.8]);
    // Nesterov's look-ahead takes the whole gradient, as in burn: .9*1 + 1, then .9*1.4 + 1.
    assert_close(&run(rule.dampening(0.5)?.nesterov(true)?, &[1.0, 1.0]).0, &[0.81, 0.584]);
    Ok(())
}

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
fn adagrad_eps_outside_inside_and_both() -> Result<(), Error> {
    let rule = AdaGrad::torch().lr(1.0)?.eps(0.0)?;
    let outside = run(rule.eps(0.5)?, &[2.0]).0;
    let inside = run(rule.eps_root(0.5)?, &[2.0]).0;
    assert_fork((&outside, &[1.0 - 2.0 / 2.5]), (&inside, &[1.0 - 2.0 / 4.5f64.sqrt()]));
    let both = run(rule.eps(0.5)?.eps_root(0.5)?, &[2.0]).0;
    assert_close(&both, &[1.0 - 2.0 / (4.5f64.sqrt() + 0.5)]);
    Ok(())
}

#[test]
fn adagrad_initial_accumulator() -> Result<(), Error> {
    let torch = run(AdaGrad::torch().lr(1.0)?, &[0.1]);
    let keras = run(AdaGrad::keras().lr(1.0)?, &[0.1]);
    assert_fork((&torch.0, &[1.0 - 0.1 / (0.1 + 1e-10)]), (&keras.0, &[1.0 - 0.1 / (0.11f64 + 1e-7).sqrt()]));
    assert_fork((&torch.1, &[0.01]), (&keras.1, &[0.11]));
    Ok(())
}

#[test]
fn adagrad_lr_decay() -> Result<(), Error> {
    let rule = AdaGrad::torch().lr(1.0)?;
    assert_fork(
        (&run(rule, &[1.0, 1.0]).0, &[0.0, -(0.5f64.sqrt())]),
        (&run(rule.lr_decay(1.0)?, &[1.0, 1.0]).0, &[0.0, -(0.5f64.sqrt()) / 2.0]),
    );
    Ok(())
}

/// The square of 1e-30 is zero in `f32`: optax makes no step then, torch divides by its epsilon.
#[test]
fn adagrad_where_the_sum_is_zero() -> Result<(), Error> {
    let rule = AdaGrad::torch().eps(1e-30)?.lr(0.25)?;
    assert_fork((&run(rule, &[1e-30]).0, &[0.75]), (&run(rule.rest_at_zero_sum(true)?, &[1e-30]).0, &[1.0]));
    // A NaN is not a zero sum: it must show.
    assert!(run(AdaGrad::optax(), &[f32::NAN]).0[0].is_nan());
    Ok(())
}

#[test]
fn rmsprop_eps_outside_or_inside() -> Result<(), Error> {
    let rule = RmsProp::torch().lr(1.0)?.alpha(0.75)?.eps(0.0)?;
    assert_fork(
        (&run(rule.eps(0.5)?, &[2.0]).0, &[1.0 - 2.0 / 1.5]),
        (&run(rule.eps_root(0.5)?, &[2.0]).0, &[1.0 - 2.0 / 1.5f64.sqrt()]),
    );
    Ok(())
}

#[test]
fn rmsprop_centered() -> Result<(), Error> {
    let rule = RmsProp::torch().lr(1.0)?.alpha(0.75)?.eps(0.0)?;
    let centered = run(rule.centered(true)?, &[2.0]);
    // square 1, mean .5, variance .75
    assert_fork((&run(rule, &[2.0]).0, &[-1.0]), (&centered.0, &[1.0 - 2.0 / 0.75f64.sqrt()]));
    assert_close(&centered.1, &[1.0, 0.5]);
    Ok(())
}

#[test]
fn rmsprop_momentum_in_each_form() -> Result<(), Error> {
    // Gradients that make g/sqrt exactly 2, then 2/sqrt(1.75).
    let rule = RmsProp::torch().lr(0.5)?.alpha(0.75)?.eps(0.0)?.momentum(0.5)?;
    let (first, second) = (2.0, 2.0 / 1.75f64.sqrt());
    let path = [1.0 - 0.5 * first, 1.0 - 0.5 * (first + 0.5 * first + second)];
    for (velocity, scale) in
        [(Velocity::Sum, 1.0), (Velocity::LrInside, 0.5), (Velocity::LrInsideNegative, -0.5)]
    {
        let (found, state) = run(rule.velocity(velocity)?, &[2.0, 2.0]);
        assert_close(&found, &path);
        assert_close(&state, &[1.75, scale * (0.5 * first + second)]);
    }
    let without = run(rule.momentum(0.0)?, &[2.0, 2.0]);
    assert_fork((&without.0, &[0.0, -0.5 * second]), (&run(rule, &[2.0, 2.0]).0, &path));
    let (nesterov, _) = run(rule.nesterov(true)?, &[2.0]);
    assert_close(&nesterov, &[1.0 - 0.5 * 1.5 * first]);
    Ok(())
}

#[test]
fn rmsprop_initial_average() -> Result<(), Error> {
    let zero = run(RmsProp::torch().alpha(0.75)?.lr(1.0)?, &[2.0]);
    let one = run(RmsProp::dfdx().alpha(0.75)?.lr(1.0)?, &[2.0]);
    assert_fork((&zero.0, &[-1.0]), (&one.0, &[1.0 - 2.0 / 1.75f64.sqrt()]));
    Ok(())
}

#[test]
fn adadelta_defaults() {
    let delta = |eps: f64, rho: f64| (eps / (1.0 - rho + eps)).sqrt();
    assert_fork(
        (&run(Adadelta::torch(), &[1.0]).0, &[1.0 - delta(1e-6, 0.9)]),
        (&run(Adadelta::keras(), &[1.0]).0, &[1.0 - 1e-3 * delta(1e-7, 0.95)]),
    );
}

#[test]
fn adam_eps_after_correction_or_hat() -> Result<(), Error> {
    let rule = Adam::torch().lr(1.0)?.eps(0.01)?;
    // After the first step m^ = g and v^ = g^2; the raw root is g*sqrt(.001).
    let root = 0.001f64.sqrt();
    assert_fork(
        (&run(rule, &[1.0]).0, &[1.0 - 1.0 / 1.01]),
        (&run(rule.eps_place(AdamEps::Hat)?, &[1.0]).0, &[1.0 - root / (root + 0.01)]),
    );
    assert_fork(
        (&run(Adam::torch(), &[1e-6]).0, &[1.0 - 1e-3 / 1.01]),
        (&run(Adam::keras(), &[1e-6]).0, &[1.0 - 1e-3 * root / (root + 0.1)]),
    );
    Ok(())
}

#[test]
fn adam_eps_root() -> Result<(), Error> {
    let rule = Adam::optax().lr(1.0)?.eps(0.0)?;
    assert_fork(
        (&run(rule.eps(0.5)?, &[1.0]).0, &[1.0 - 1.0 / 1.5]),
        (&run(rule.eps_root(0.5)?, &[1.0]).0, &[1.0 - 1.0 / 1.5f64.sqrt()]),
    );
    Ok(())
}

#[test]
fn amsgrad_of_raw_or_corrected_moments() -> Result<(), Error> {
    let rule = Adam::torch().lr(1.0)?.eps(0.0)?.beta1(0.0)?.beta2(0.5)?;
    let grads = [2.0, 0.5];
    // v = 2, then 1.125; corrected 4, then 1.5.
    let off = run(rule, &grads);
    let raw = run(rule.amsgrad(AmsGrad::Raw)?, &grads);
    let corrected = run(rule.amsgrad(AmsGrad::Corrected)?, &grads);
    assert_close(&off.0, &[0.0, -0.5 / 1.5f64.sqrt()]);
    // The largest raw moment, 2, is corrected by the second step's 3/4; the largest corrected one is 4.
    assert_fork((&raw.0, &[0.0, -0.5 / (2.0f64 / 0.75).sqrt()]), (&corrected.0, &[0.0, -0.5 / 2.0]));
    assert_fork((&raw.1[2..], &[2.0]), (&corrected.1[2..], &[4.0]));
    Ok(())
}

#[test]
fn adam_bias_correction() -> Result<(), Error> {
    let rule = Adam::torch().lr(1.0)?.eps(0.0)?.beta1(0.75)?.beta2(0.99)?;
    // m is a quarter of the gradient, and the root of v a tenth; corrected, both are the gradient.
    for (first, second, change) in
        [(true, true, 1.0), (false, true, 0.25), (true, false, 10.0), (false, false, 2.5)]
    {
        let (path, state) = run(rule.bias_correction1(first)?.bias_correction2(second)?, &[4.0]);
        assert_close(&path, &[1.0 - change]);
        assert_close(&state, &[1.0, 0.16]);
    }
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

#[test]
fn adamax_eps_inside_the_maximum_or_outside() -> Result<(), Error> {
    let rule = Adamax::torch().lr(1.0)?.beta1(0.0)?.beta2(0.5)?.eps(1.0)?;
    let (inside, inside_state) = run(rule, &[1.0, 0.0]);
    let (outside, outside_state) = run(rule.eps_place(AdamaxEps::Outside)?, &[1.0, 0.0]);
    assert_close(&inside, &[0.5, 0.5]);
    assert_close(&outside, &[0.5, 0.5]);
    // What is inside stays in the state: max(1, 0 + 1), and max(1/2, 0).
    assert_fork((&inside_state, &[0.0, 1.0]), (&outside_state, &[0.0, 0.5]));
    Ok(())
}

#[test]
fn rprop_now_or_a_step_late() -> Result<(), Error> {
    let rule = Rprop::torch().lr(0.25)?;
    let grads = [1.0, 1.0, -1.0];
    // Steps of .25, of .25*1.2, and none when the gradient turns; optax is one behind, and drops the one it is about to do.
    let (now, _) = run(rule, &grads);
    let (late, _) = run(rule.delayed(true)?, &grads);
    assert_fork((&now, &[0.75, 0.45, 0.45]), (&late, &[1.0, 0.75, 0.75]));
    Ok(())
}

#[test]
fn lion_hard_or_refined() -> Result<(), Error> {
    let rule = Lion::paper().lr(1.0)?.beta1(0.5)?;
    let (hard, _) = run(rule, &[0.5]);
    let (refined, _) = run(rule.mode(LionMode::Refined)?, &[0.5]);
    assert_fork((&hard, &[0.0]), (&refined, &[0.75]));
    Ok(())
}

#[test]
fn adan_weighs_the_difference() -> Result<(), Error> {
    let rule = Adan::paper().lr(1.0)?.beta1(0.5)?.beta2(0.5)?.beta3(0.5)?.eps(0.0)?;
    let (without, _) = run(rule.diff_weight(0.0)?, &[1.0, 2.0]);
    let (with, _) = run(rule.diff_weight(0.5)?, &[1.0, 2.0]);
    // m^ = 5/3, v^ = 2/3; n^ = (1/4 + (2 + w)^2/2) * 4/3.
    let second =
        |w: f64| -(5.0 / 3.0 + w * 2.0 / 3.0) / ((0.25 + (2.0 + w).powi(2) / 2.0) * 4.0 / 3.0).sqrt();
    assert_fork((&without, &[0.0, second(0.0)]), (&with, &[0.0, second(0.5)]));
    Ok(())
}

#[test]
fn nadam_momentum_on_a_schedule_or_not() -> Result<(), Error> {
    let rule = NAdam::torch().lr(1.0)?.eps(0.0)?;
    let (scheduled, _) = run(rule, &[2.0]);
    let (constant, _) = run(rule.momentum_schedule(false)?, &[2.0]);
    // With m = (1-beta1)*g and v^ = g^2 the first step is mu2*(1-beta1)/(1-mu1*mu2) + (1-mu1)/(1-mu1).
    let first = |mu1: f64, mu2: f64| 1.0 - (mu2 * 0.1 / (1.0 - mu1 * mu2) + 1.0);
    let mu = |t: f64| 0.9 * (1.0 - 0.5 * 0.96f64.powf(t * 0.004));
    assert_fork((&scheduled, &[first(mu(1.0), mu(2.0))]), (&constant, &[first(0.9, 0.9)]));
    Ok(())
}

#[test]
fn schedule_free_views() -> Result<(), Error> {
    let rule = ScheduleFreeSgd::paper().lr(0.5)?.momentum(0.5)?;
    let (mut params, z) = ([0.125, 3.0], [0.0, 1.0]);
    rule.eval_params(&mut params, &z)?;
    assert_eq!(params, [0.25, 5.0]);
    rule.train_params(&mut params, &z)?;
    assert_eq!(params, [0.125, 3.0]);
    let refusal = Error::Length { slice: "z", expected: 2, found: 1 };
    assert_eq!(rule.eval_params(&mut params, &z[..1]), Err(refusal));
    assert!(matches!(rule.momentum(0.0)?.eval_params(&mut params, &z), Err(Error::Conflict { .. })));
    assert_eq!(params, [0.125, 3.0]);
    Ok(())
}
