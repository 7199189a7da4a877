//! The forks of the rules that look at whole tensors, and of the schedule-free ones.

use gradstep::{
    DAdaptAdam, Decay, DoG, DoGInit, DoWG, Error, Lamb, Lars, NovoGrad, Prodigy, Rule, ScheduleFreeAdamW,
    ScheduleFreeSgd, Tensor, Workers, new_state, step,
};
use testkit::slices;

use crate::{assert_close, assert_fork, run, run_from};

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

/// The first steps of a tensor of two elements.
fn run_two(rule: impl Rule, mut params: [f32; 2], grads: &[[f32; 2]]) -> [f32; 2] {
    let mut state = new_state(&rule, &params);
    let mut slices = slices(&mut state);
    for (t, grads) in (1..).zip(grads) {
        step(&rule, t, &mut params, grads, &mut slices).unwrap();
    }
    params
}

#[test]
fn lars_nesterov_and_a_ratio_of_one() -> Result<(), Error> {
    let rule = Lars::optax().lr(1.0)?.trust_coefficient(0.5)?;
    // From 1 with a gradient of 4: the ratio is 1/8.
    assert_fork((&run(rule, &[4.0]).0, &[0.5]), (&run(rule.nesterov(true)?, &[4.0]).0, &[1.0 - 0.95]));
    assert_fork((&run(rule, &[4.0]).0, &[0.5]), (&run(rule.eps(4.0)?, &[4.0]).0, &[0.75]));
    // Nothing to compare with.
    assert_close(&run_from(0.0, rule, &[4.0]).0, &[-4.0]);
    Ok(())
}

#[test]
fn lamb_decays_inside_the_norm_or_beside_it() -> Result<(), Error> {
    let (rule, start, grads) = (Lamb::optax().lr(0.1)?.eps(0.0)?, [3.0, 4.0], [[2.0, 5.0]]);
    // The first update is 1 in each element.
    let plain = 0.1 * 5.0 / 2f64.sqrt();
    assert_close(&run_two(rule, start, &grads), &[3.0 - plain, 4.0 - plain]);
    let inside = 0.1 * 5.0 / 41f64.sqrt();
    let beside = 0.95 * plain;
    assert_fork(
        (&run_two(rule.weight_decay(1.0)?, start, &grads), &[3.0 - 4.0 * inside, 4.0 - 5.0 * inside]),
        (
            &run_two(Lamb::keras().lr(0.1)?.eps(0.0)?.weight_decay(0.5)?, start, &grads),
            &[0.95 * 3.0 - beside, 0.95 * 4.0 - beside],
        ),
    );
    // Outside or inside the root, it weighs on the smaller gradient.
    let scaled = |u: [f64; 2]| {
        let rate = 0.1 * 5.0 / u[0].hypot(u[1]);
        [3.0 - rate * u[0], 4.0 - rate * u[1]]
    };
    assert_fork(
        (&run_two(rule.eps(1.0)?, start, &grads), &scaled([2.0 / 3.0, 5.0 / 6.0])),
        (&run_two(rule.eps_root(1.0)?, start, &grads), &scaled([2.0 / 5f64.sqrt(), 5.0 / 26f64.sqrt()])),
    );
    Ok(())
}

#[test]
fn novograd_eps_decay_and_its_first_norm() -> Result<(), Error> {
    let rule = NovoGrad::optax().lr(0.5)?.beta1(0.5)?.beta2(0.75)?.eps(0.0)?;
    assert_fork(
        (&run(rule.eps(4.0)?, &[4.0]).0, &[0.75]),
        (&run(rule.eps_root(9.0)?, &[4.0]).0, &[1.0 - 0.5 * 4.0 / 5.0]),
    );
    assert_fork((&run(rule, &[4.0]).0, &[0.5]), (&run(rule.weight_decay(1.0)?, &[4.0]).0, &[0.0]));
    // The first square is taken whole, and a quarter of the second.
    let (path, state) = run(rule, &[4.0, 2.0]);
    let average = 0.5 + 2.0 / 13f64.sqrt();
    assert_close(&path, &[0.5, 0.5 - 0.5 * average]);
    assert_close(&state, &[average, 13.0]);
    Ok(())
}

#[test]
fn dog_first_step_in_three_forms() -> Result<(), Error> {
    let rule = DoG::optax().init_step(0.25)?.eps(0.0)?;
    let two = |form| run_from(3.0, rule.init_step_form(form).unwrap(), &[4.0, 3.0]);
    // Distances of 0.25*(1 + 3), of 0.25 and of 0; the gradients' norms are 4, then 5.
    let (heuristic, heuristic_state) = two(DoGInit::Heuristic);
    let (distance, distance_state) = two(DoGInit::Distance);
    let (rate, rate_state) = two(DoGInit::LearningRate);
    assert_fork((&heuristic, &[2.0, 1.4]), (&distance, &[2.75, 2.6]));
    assert_close(&rate, &[2.0, 1.4]);
    assert_fork((&heuristic_state, &[3.0, 1.0, 25.0]), (&distance_state, &[3.0, 0.25, 25.0]));
    assert_eq!(rate_state, heuristic_state);
    let first = |form| run_from(3.0, rule.init_step_form(form).unwrap(), &[4.0]).1;
    assert_fork((&first(DoGInit::Heuristic)[1..2], &[1.0]), (&first(DoGInit::LearningRate)[1..2], &[0.0]));
    Ok(())
}

#[test]
fn dog_one_rate_for_all_or_for_each_layer() -> Result<(), Error> {
    let rule = DoG::optax().init_step(0.25)?.eps(0.0)?;
    let stepped = |rule: DoG| {
        let (mut first, mut second) = ([3.0], [4.0]);
        let (mut state, mut second_state) = (new_state(&rule, &first), new_state(&rule, &second));
        let mut model = [
            Tensor::new(&mut first, &[3.0], slices(&mut state)).unwrap(),
            Tensor::new(&mut second, &[4.0], slices(&mut second_state)).unwrap(),
        ];
        Workers::serial().step_model(&rule, 1, &mut model).unwrap();
        [first[0], second[0]]
    };
    // Together the distance is 0.25*(1 + 5), and the norm 5.
    assert_fork((&stepped(rule), &[3.0 - 0.9, 4.0 - 1.2]), (&stepped(rule.layerwise(true)?), &[2.0, 2.75]));
    Ok(())
}

#[test]
fn dowg_first_distance_and_eps() -> Result<(), Error> {
    let rule = DoWG::optax().init_sq_distance(0.25)?.eps(0.0)?;
    assert_fork((&run(rule, &[4.0]).0, &[0.5]), (&run(rule.eps(2.0)?, &[4.0]).0, &[0.75]));
    assert_close(&run(rule.init_sq_distance(1.0)?, &[4.0]).0, &[0.0]);
    // Without a first distance it is eps, as in optax.
    let (path, state) = run(DoWG::optax().eps(0.25)?, &[4.0]);
    assert_close(&path, &[1.0 - 0.25 / 2.25 * 4.0]);
    assert_eq!(state[1], 0.25);
    Ok(())
}

/// Two steps of Prodigy from 1 with gradients of 2: the first moves by 1/2, and its estimate of d is 0.
fn prodigy() -> Result<Prodigy, Error> {
    Prodigy::optax().beta1(0.0)?.beta2(0.75)?.eps(0.0)?.d0(0.5)?.growth(4.0)
}

#[test]
fn prodigy_safeguard_and_memory() -> Result<(), Error> {
    let rate = 0.5 * (1.0 - 0.75f64 * 0.75).sqrt();
    // The sum of gradients: the first times rate/d0*d or d/d0*d, kept by beta3, and the second.
    let after = |rule: Prodigy| {
        let (path, state) = run(rule, &[2.0, 2.0]);
        assert_close(&path[..1], &[0.5]);
        [state[2], state[4]]
    };
    let expected = |sum: f64| [sum, 4.0 * rate / sum];
    let usual = prodigy()?;
    let beta3 = 0.75f64.sqrt();
    let plain = expected(beta3 * 0.5 + 2.0 * rate);
    assert_fork((&after(usual), &plain), (&after(usual.safeguard_warmup(true)?), &expected(beta3 + 1.0)));
    assert_fork((&after(usual), &plain), (&after(usual.beta3(0.25)?), &expected(0.125 + 2.0 * rate)));
    assert_fork((&after(usual), &plain), (&after(usual.growth(0.0)?), &[plain[0], 0.5]));
    Ok(())
}

#[test]
fn decay_at_the_found_rate() -> Result<(), Error> {
    assert_fork(
        (&run(prodigy()?, &[2.0]).0, &[0.5]),
        (&run(prodigy()?.weight_decay(1.0)?, &[2.0]).0, &[0.25]),
    );
    let rule = DAdaptAdam::optax().beta1(0.0)?.beta2(0.75)?.eps(1e-30)?.d0(0.5)?;
    assert_fork((&run(rule, &[2.0]).0, &[0.5]), (&run(rule.weight_decay(1.0)?, &[2.0]).0, &[0.25]));
    assert_close(&run(rule.eps(1.0)?, &[2.0]).0, &[0.75]);
    Ok(())
}

#[test]
fn schedule_free_weights() -> Result<(), Error> {
    let rule = ScheduleFreeSgd::paper().momentum(0.5)?;
    // After a step of 1 the parameter is where z is; the second part of the step is 1 - (1-c)/2.
    let (alike, _) = run(rule, &[1.0, 1.0]);
    let (later, state) = run(rule.r(1.0)?, &[1.0, 1.0]);
    assert_fork((&alike, &[0.0, -0.75]), (&later, &[0.0, -5.0 / 6.0]));
    assert_close(&state, &[-1.0, 3.0, 1.0]);
    // A warm-up of two steps has learning rates of 1/2 and 1, which weigh 1/4 and 1, or the same.
    let warm = rule.warmup_steps(2.0)?;
    assert_fork(
        (&run(warm, &[1.0, 1.0]).0, &[0.5, -0.4]),
        (&run(warm.weight_lr_power(0.0)?, &[1.0, 1.0]).0, &[0.5, -0.25]),
    );
    Ok(())
}

#[test]
fn schedule_free_adamw_decays_and_weighs() -> Result<(), Error> {
    let (paper, keras) = (ScheduleFreeAdamW::paper().lr(0.5)?, ScheduleFreeAdamW::keras().lr(0.5)?);
    // Coupled decay is divided away; in the update it is not.
    let (coupled, _) = run(paper.weight_decay(0.25)?.decay(Decay::Coupled)?, &[2.0]);
    let (within, _) = run(paper.weight_decay(0.5)?, &[2.0]);
    assert_fork((&coupled, &[0.5]), (&within, &[0.25]));
    // Beside the update it acts from the second step on: the first goes to z, which is the parameter before any decay.
    let beside = run(keras.weight_decay(0.25)?, &[2.0, 2.0]).0;
    assert_fork((&run(keras, &[2.0, 2.0]).0, &[0.5, 0.225]), (&beside, &[0.5, 0.19375]));
    // As for SGD, with gradients that are divided by their own size.
    let two = |rule: ScheduleFreeAdamW| {
        run(rule.lr(1.0).unwrap().beta1(0.5).unwrap().warmup_steps(2.0).unwrap(), &[2.0, 2.0]).0
    };
    assert_fork((&two(paper), &[0.5, -0.4]), (&two(keras), &[0.5, -0.25]));
    Ok(())
}
