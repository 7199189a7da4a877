//! The forks of descent along the gradient, an average of it, or a sign.

use gradstep::{Asgd, Error, Lion, LionMode, Momentum, Qhm, Rprop, SgdW, Signum, Velocity, step};

use crate::{assert_close, assert_fork, run};

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
fn rprop_now_or_a_step_late() -> Result<(), Error> {
    let rule = Rprop::torch().lr(0.25)?;
    let grads = [1.0, 1.0, -1.0];
    // Steps of .25, of .25*1.2, and none when the gradient turns; optax is one behind, and drops the one it is about to
    // do.
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

/// The paper decays by `weight_decay` alone, PyTorch's AdamW and this preset by its product with the learning rate.
#[test]
fn sgdw_decays_with_lr_or_without() -> Result<(), Error> {
    // From 1: the velocity takes 0.5, and decay a tenth, or half of that.
    let (paper, _) = run(SgdW::paper().lr(0.5)?.weight_decay(0.1)?, &[1.0]);
    let (torch, _) = run(SgdW::torch().lr(0.5)?.weight_decay(0.1)?, &[1.0]);
    assert_fork((&paper, &[0.4]), (&torch, &[0.45]));
    Ok(())
}

#[test]
fn qhm_mixes_gradient_and_average() -> Result<(), Error> {
    let rule = Qhm::paper().lr(0.5)?.momentum(0.5)?;
    let (average, state) = run(rule.nu(1.0)?, &[1.0]);
    let (gradient, other_state) = run(rule.nu(0.0)?, &[1.0]);
    assert_fork((&average, &[0.75]), (&gradient, &[0.5]));
    assert_eq!(state, other_state);
    assert_close(&run(rule.nu(0.5)?, &[1.0]).0, &[0.625]);
    Ok(())
}

/// Coupled decay is in the gradient whose sign is taken; decoupled decay is not.
#[test]
fn signum_decays_inside_the_sign_or_beside_it() -> Result<(), Error> {
    let (inside, _) = run(Signum::optax().lr(0.25)?.weight_decay(4.0)?, &[-1.0]);
    let (beside, _) = run(Signum::paper().lr(0.25)?.weight_decay(4.0)?, &[-1.0]);
    assert_fork((&inside, &[0.75]), (&beside, &[0.25]));
    Ok(())
}

/// PyTorch bounds every step size, optax one that it has just changed.
#[test]
fn rprop_bounds_at_once_or_after_a_change() -> Result<(), Error> {
    let rule = Rprop::torch().lr(0.25)?.step_size_max(0.125)?;
    let (now, _) = run(rule, &[1.0, 1.0]);
    let (late, state) = run(rule.delayed(true)?, &[1.0, 1.0]);
    assert_fork((&now, &[0.875, 0.75]), (&late, &[1.0, 0.75]));
    assert_close(&state, &[0.125, 0.125]);
    Ok(())
}

#[test]
fn asgd_averages_from_t0_on() -> Result<(), Error> {
    let rule = Asgd::torch().lr(0.25)?.lambd(0.0)?;
    let grads = [1.0; 3];
    let (path, never) = run(rule, &grads);
    let (same_path, early) = run(rule.t0(0.0)?, &grads);
    assert_eq!(path, same_path);
    // The last parameter, or the mean of the last two.
    assert_fork((&never, &[0.25]), (&early, &[0.375]));
    Ok(())
}

#[test]
fn asgd_slows_by_alpha() -> Result<(), Error> {
    let rule = Asgd::torch().lr(0.25)?.lambd(0.5)?;
    let step = |p: f64, eta: f64| (1.0 - 0.5 * eta) * p - eta;
    let first = step(1.0, 0.25);
    assert_fork(
        (&run(rule.alpha(0.0)?, &[1.0, 1.0]).0, &[first, step(first, 0.25)]),
        (&run(rule.alpha(1.0)?, &[1.0, 1.0]).0, &[first, step(first, 0.25 / 1.125)]),
    );
    Ok(())
}
