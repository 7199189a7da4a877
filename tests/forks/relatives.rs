//! The forks of Adam's relatives.

use gradstep::{
    AdEmaMix, AdaBelief, AdaBound, AdamEps, Adamax, AdamaxEps, Adan, Adopt, AmsBound, BeliefEps, Error,
    NAdam, NAdamW, QhAdam, RAdam, Sophia, SophiaEps, Yogi, step,
};

use crate::{assert_close, assert_fork, run};

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
fn adan_adds_inside_the_root_and_decays_in_two_ways() -> Result<(), Error> {
    let rule = Adan::paper().lr(0.5)?;
    assert_fork(
        (&run(rule.eps(0.0)?.eps_root(5.0)?, &[2.0]).0, &[1.0 - 0.5 * 2.0 / 3.0]),
        (&run(rule.eps(3.0)?, &[2.0]).0, &[1.0 - 0.5 * 2.0 / 5.0]),
    );
    let decayed = |rule: Adan| run(rule.lr(0.5).unwrap().weight_decay(0.5).unwrap(), &[0.0]).0;
    assert_fork((&decayed(Adan::paper()), &[0.8]), (&decayed(Adan::optax()), &[0.75]));
    Ok(())
}

#[test]
fn nadam_adds_inside_the_root_and_decays_in_two_ways() -> Result<(), Error> {
    let rule = NAdam::optax().lr(0.5)?.beta1(0.0)?.eps(0.0)?;
    assert_fork(
        (&run(rule.eps(1.0)?, &[2.0]).0, &[1.0 - 0.5 * 2.0 / 3.0]),
        (&run(rule.eps_root(1.0)?, &[2.0]).0, &[1.0 - 0.5 * 2.0 / 5f64.sqrt()]),
    );
    let (coupled, _) = run(rule.weight_decay(0.5)?, &[0.0]);
    let (beside, _) = run(NAdamW::optax().lr(0.5)?.weight_decay(0.5)?, &[0.0]);
    assert_fork((&coupled, &[0.5]), (&beside, &[0.75]));
    Ok(())
}

/// With beta2 at 0.9 the average is long enough, above 5, at the sixth step, and above 4.5 at the fifth.
fn length(t: i32) -> f64 {
    let power = 0.9f64.powi(t);
    19.0 - 2.0 * f64::from(t) * power / (1.0 - power)
}

fn rectification(t: i32) -> f64 {
    let ratio = |rho: f64| (rho - 4.0) * (rho - 2.0) / rho;
    (ratio(length(t)) / ratio(19.0)).sqrt()
}

#[test]
fn radam_rectifies_above_a_threshold() -> Result<(), Error> {
    assert!(length(4) < 4.5 && 4.5 < length(5) && length(5) < 5.0 && 5.0 < length(6));
    let rule = RAdam::torch().lr(0.1)?.beta1(0.0)?.beta2(0.9)?.eps(0.0)?;
    let (usual, _) = run(rule, &[2.0; 5]);
    let (early, _) = run(rule.threshold(4.5)?, &[2.0; 5]);
    // Steps of lr*g, then lr*r.
    assert_fork((&usual[3..], &[0.2, 0.0]), (&early[3..], &[0.2, 0.2 - 0.1 * rectification(5)]));
    Ok(())
}

#[test]
fn radam_eps_hat_after_correction_and_inside() -> Result<(), Error> {
    let rule = RAdam::torch().lr(0.1)?.beta1(0.0)?.beta2(0.9)?.eps(0.0)?;
    let last = |rule: RAdam| run(rule, &[1.0; 6]).0[5..].to_vec();
    let (start, change) = (1.0 - 5.0 * 0.1, 0.1 * rectification(6));
    let root = (1.0 - 0.9f64.powi(6)).sqrt();
    let half = rule.eps(0.5)?;
    assert_fork(
        (&last(half), &[start - change / (1.0 + 0.5 / root)]),
        (&last(half.eps_place(AdamEps::AfterCorrection)?), &[start - change / 1.5]),
    );
    assert_close(&last(rule.eps_root(0.5)?), &[start - change / 1.5f64.sqrt()]);
    Ok(())
}

#[test]
fn radam_nesterov() -> Result<(), Error> {
    let rule = RAdam::optax().lr(0.5)?.beta1(0.5)?;
    // Half of 1/2 corrected by 3/4, and half of 1 by 1/2.
    assert_fork(
        (&run(rule, &[1.0]).0, &[0.5]),
        (&run(rule.nesterov(true)?, &[1.0]).0, &[1.0 - 0.5 * (1.0 / 3.0 + 1.0)]),
    );
    Ok(())
}

#[test]
fn adabelief_nesterov_and_eps_in_the_state_or_beside_the_root() -> Result<(), Error> {
    let rule = AdaBelief::optax().lr(0.5)?.beta1(0.5)?.beta2(0.5)?.eps(0.0)?.eps_root(0.0)?;
    // The gradient is 1/2 from its average; the square's average is corrected by 1/2.
    let (plain, state) = run(rule, &[1.0]);
    let (ahead, _) = run(rule.nesterov(true)?, &[1.0]);
    assert_fork((&plain, &[0.0]), (&ahead, &[1.0 - 0.5 * (4.0 / 3.0) / 0.5]));
    let (inside, inside_state) = run(rule.eps_root(0.125)?, &[1.0]);
    let (outside, outside_state) = run(rule.eps(0.5)?, &[1.0]);
    assert_fork((&inside, &[1.0 - 0.5 / 0.5f64.sqrt()]), (&outside, &[0.5]));
    assert_fork((&inside_state, &[0.5, 0.25]), (&outside_state, &[0.5, 0.125]));
    assert_eq!(state, outside_state);
    // The authors have one epsilon in both places.
    let twice = rule.eps_place(BeliefEps::Twice)?.eps(0.125)?;
    assert_eq!(run(twice, &[1.0]).0, run(rule.eps(0.125)?.eps_root(0.125)?, &[1.0]).0);
    Ok(())
}

#[test]
fn yogi_moves_by_the_square_wherever_it_starts() -> Result<(), Error> {
    let rule = Yogi::optax().lr(0.5)?.beta1(0.0)?.beta2(0.75)?.eps(0.0)?;
    let from_zero = run(rule.initial_accumulator_value(0.0)?, &[1.0]);
    let from_four = run(rule.initial_accumulator_value(4.0)?, &[1.0]);
    assert_fork((&from_zero.1, &[1.0, 0.25]), (&from_four.1, &[1.0, 3.75]));
    assert_fork((&from_zero.0, &[0.5]), (&from_four.0, &[1.0 - 0.5 / 15f64.sqrt()]));
    let rule = rule.initial_accumulator_value(0.0)?;
    assert_fork(
        (&run(rule.eps(3.0)?, &[1.0]).0, &[1.0 - 0.5 / 4.0]),
        (&run(rule.eps_root(3.0)?, &[1.0]).0, &[1.0 - 0.5 / 2.0]),
    );
    Ok(())
}

#[test]
fn adabound_within_bounds_of_the_final_rate() -> Result<(), Error> {
    let rule = AdaBound::paper().lr(1.0)?.base_lr(1.0)?.beta1(0.0)?.beta2(0.75)?.eps(0.0)?;
    // Adam's rate is 1/2. At gamma 1 the bounds of the first step are a half of the final rate and twice it.
    let change = |rule: AdaBound| run(rule, &[2.0]).0;
    assert_close(&change(rule.gamma(1e-9)?), &[0.0]);
    let close = rule.gamma(1.0)?;
    assert_fork((&change(close), &[1.0 - 2.0 * 0.2]), (&change(close.final_lr(2.0)?), &[1.0 - 2.0]));
    assert_close(&change(close.base_lr(0.5)?), &[1.0 - 2.0 * 0.4]);
    assert_close(&change(rule.gamma(1e-9)?.eps(1.0)?), &[0.5]);
    Ok(())
}

#[test]
fn amsbound_divides_by_the_largest() -> Result<(), Error> {
    let wide = |rule: AdaBound| rule.lr(1.0)?.base_lr(1.0)?.beta1(0.0)?.beta2(0.75)?.eps(0.0)?.gamma(1e-9);
    let correction = (1.0 - 0.75f64 * 0.75).sqrt();
    // The averages are 1, then 0.75 + 0.0625.
    assert_fork(
        (&run(wide(AdaBound::paper())?, &[2.0, 0.5]).0, &[0.0, -0.5 * correction / 0.8125f64.sqrt()]),
        (&run(wide(AmsBound::paper())?, &[2.0, 0.5]).0, &[0.0, -0.5 * correction]),
    );
    assert_eq!(wide(AmsBound::paper())?, wide(AdaBound::paper())?.amsgrad(true)?);
    Ok(())
}

#[test]
fn qhadam_mixes_above_and_below() -> Result<(), Error> {
    let rule = QhAdam::paper().lr(0.5)?.beta1(0.5)?.beta2(0.5)?.eps(0.0)?;
    // The averages of 1 and 2 are 5/3, of 1 and 4 they are 3.
    let change = |nu1, nu2| run(rule.nu1(nu1).unwrap().nu2(nu2).unwrap(), &[1.0, 2.0]).0;
    let path = |change: f64| [0.5, 0.5 - 0.5 * change];
    assert_fork(
        (&change(1.0, 1.0), &path(5.0 / 3.0 / 3f64.sqrt())),
        (&change(0.0, 1.0), &path(2.0 / 3f64.sqrt())),
    );
    assert_fork((&change(1.0, 0.0), &path(5.0 / 6.0)), (&change(0.0, 0.0), &path(1.0)));
    Ok(())
}

#[test]
fn adopt_clips_and_looks_ahead() -> Result<(), Error> {
    let rule = Adopt::paper().lr(0.5)?.beta1(0.5)?;
    // The second gradient is 4 times the root of the squares before it; its bound is 1.
    let (bounded, state) = run(rule, &[1.0, 4.0]);
    let (free, free_state) = run(rule.clip(false)?, &[1.0, 4.0]);
    assert_fork((&bounded, &[1.0, 0.75]), (&free, &[1.0, 0.0]));
    assert_fork((&state[..1], &[0.5]), (&free_state[..1], &[2.0]));
    assert_fork(
        (&bounded, &[1.0, 0.75]),
        (&run(rule.nesterov(true)?, &[1.0, 4.0]).0, &[1.0, 1.0 - 0.5 * 0.75]),
    );
    Ok(())
}

#[test]
fn ademamix_warms_up_alpha_and_beta3() -> Result<(), Error> {
    let rule = AdEmaMix::paper().lr(0.25)?.beta1(0.25)?.beta3(0.5)?.alpha(2.0)?.eps(0.0)?;
    let (whole, _) = run(rule, &[1.0]);
    assert_fork((&whole, &[0.5]), (&run(rule.alpha_warmup(2.0)?, &[1.0]).0, &[1.0 - 0.25 * 1.5]));
    // Half of the way from 1/4 to 1/2, in the logarithm's inverse, is 2^(-4/3).
    let slow = 1.0 - 0.5f64.powf(4.0 / 3.0);
    let (warm, state) = run(rule.beta3_warmup(2.0)?, &[1.0]);
    assert_fork((&whole, &[0.5]), (&warm, &[1.0 - 0.25 * (1.0 + 2.0 * slow)]));
    assert_close(&state[1..2], &[slow]);
    assert_fork(
        (&run(rule.eps(3.0)?, &[1.0]).0, &[1.0 - 0.5 / 4.0]),
        (&run(rule.eps_root(3.0)?, &[1.0]).0, &[1.0 - 0.5 / 2.0]),
    );
    Ok(())
}

/// The first step from 1 with a gradient of 1 and a Hessian of 2.
fn sophia(rule: Sophia) -> [f32; 1] {
    let mut params = [1.0];
    step(&rule, 1, &mut params, &[1.0], &mut [&mut [0.0], &mut [2.0]]).unwrap();
    params
}

#[test]
fn sophia_eps_added_or_as_a_floor() -> Result<(), Error> {
    // The average is 1/2, over 1 or 1.25.
    let rule = Sophia::paper().lr(1.0)?.beta1(0.5)?.gamma(0.5)?.eps(0.25)?;
    let floor = rule.eps_place(SophiaEps::Floor)?;
    assert_fork((&sophia(rule), &[0.6]), (&sophia(floor), &[0.5]));
    assert_close(&sophia(floor.eps(2.0)?), &[0.75]);
    assert_fork((&sophia(rule), &[0.6]), (&sophia(rule.bias_correction(true)?), &[0.2]));
    assert_fork((&sophia(rule), &[0.6]), (&sophia(rule.clip(0.25)?), &[0.75]));
    Ok(())
}
