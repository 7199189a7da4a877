//! The forks of the rules that divide by sums or averages of squares.

use gradstep::{AdaGrad, Adadelta, Error, Ftrl, Madgrad, RmsProp, RootEps, Velocity};

use crate::{assert_close, assert_fork, run, run_from};

#[test]
fn adagrad_eps_outside_or_inside() -> Result<(), Error> {
    let rule = AdaGrad::torch().lr(1.0)?.eps(0.5)?;
    let outside = run(rule, &[2.0]).0;
    let inside = run(rule.eps_place(RootEps::Inside)?, &[2.0]).0;
    assert_fork((&outside, &[1.0 - 2.0 / 2.5]), (&inside, &[1.0 - 2.0 / 4.5f64.sqrt()]));
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
    let rule = RmsProp::torch().lr(1.0)?.alpha(0.75)?.eps(0.5)?;
    assert_fork(
        (&run(rule, &[2.0]).0, &[1.0 - 2.0 / 1.5]),
        (&run(rule.eps_place(RootEps::Inside)?, &[2.0]).0, &[1.0 - 2.0 / 1.5f64.sqrt()]),
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
fn rmsprop_bias_correction() -> Result<(), Error> {
    let rule = RmsProp::optax().lr(1.0)?.alpha(0.75)?.eps(0.0)?;
    let corrected = rule.bias_correction(true)?;
    // The square is 4, and its average 1: corrected, 4 again.
    let (plain, state) = run(rule, &[2.0]);
    let (one, corrected_state) = run(corrected, &[2.0]);
    assert_fork((&plain, &[-1.0]), (&one, &[0.0]));
    assert_eq!(state, corrected_state);
    // Epsilon is added to what is corrected.
    let inside = corrected.eps(0.5)?;
    assert_close(&run(inside, &[2.0]).0, &[1.0 - 2.0 / 4.5f64.sqrt()]);
    assert_close(&run(inside.eps_place(RootEps::Outside)?, &[2.0]).0, &[1.0 - 2.0 / 2.5]);
    // The variance of a single number is 0, of 2 and 4 with these weights 8/9.
    let centered = rule.alpha(0.5)?.eps(0.25)?.centered(true)?;
    let second = 1.0 - 4.0 - 4.0 / (8.0f64 / 9.0 + 0.25).sqrt();
    assert_close(&run(centered.bias_correction(true)?, &[2.0, 4.0]).0, &[1.0 - 2.0 / 0.5, second]);
    Ok(())
}

#[test]
fn rmsprop_bias_correction_under_momentum() -> Result<(), Error> {
    let rule = RmsProp::optax().lr(0.5)?.alpha(0.75)?.eps(0.0)?.momentum(0.5)?.bias_correction(true)?;
    // Each gradient is divided by its own size.
    for (velocity, state) in
        [(Velocity::Sum, 1.5), (Velocity::LrInside, 0.75), (Velocity::LrInsideNegative, -0.75)]
    {
        let (path, found) = run(rule.velocity(velocity)?, &[2.0, 2.0]);
        assert_close(&path, &[0.5, -0.25]);
        assert_close(&found[1..], &[state]);
    }
    assert_close(&run(rule.nesterov(true)?, &[2.0]).0, &[0.25]);
    Ok(())
}

#[test]
fn ftrl_regularises_in_four_ways() -> Result<(), Error> {
    let rule = Ftrl::keras().lr(1.0)?.initial_accumulator_value(0.0)?;
    let from_zero = |rule: Ftrl| run_from(0.0, rule, &[2.0]).0;
    let plain = from_zero(rule);
    assert_fork((&plain, &[-1.0]), (&from_zero(rule.l1(1.0)?), &[-0.5]));
    assert_fork((&plain, &[-1.0]), (&from_zero(rule.l2_strength(0.5)?), &[-2.0 / 3.0]));
    assert_fork((&plain, &[-1.0]), (&from_zero(rule.beta(2.0)?), &[-0.5]));
    // From 1: z is 2 - 2*1, and with shrinkage 2 + 2*0.25 - 2.
    let (shrunk, state) = run(rule.l2_shrinkage(0.25)?, &[2.0]);
    assert_fork((&run(rule, &[2.0]).0, &[0.0]), (&shrunk, &[-0.25]));
    assert_close(&state, &[4.0, 0.5]);
    // With what the accumulator begins with its root is 3.
    let (begun, _) = run_from(0.0, rule.initial_accumulator_value(5.0)?, &[2.0]);
    assert_fork((&plain, &[-1.0]), (&begun, &[-2.0 / 3.0]));
    Ok(())
}

#[test]
fn madgrad_goes_a_part_of_the_way() -> Result<(), Error> {
    let rule = Madgrad::paper().lr(1.0)?.eps(0.0)?;
    // z is 1 - 8/4.
    assert_fork(
        (&run(rule.momentum(0.0)?, &[8.0]).0, &[-1.0]),
        (&run(rule.momentum(0.5)?, &[8.0]).0, &[0.0]),
    );
    Ok(())
}
