//! The training loop: its batches, its shuffle, and each of its reasons to stop.

use gradstep::{
    AdaGrad, Adadelta, Adam, AnyRule, Error, Momentum, RmsProp, Sgd,
    train::{Batch, End, Plan, Reason, Workspace, minimize, minimize_in, minimize_with},
};

/// Records which samples each batch had; the loss is constant.
fn batches(batch: Batch, samples: usize, seed: u64, epochs: u32) -> Vec<Vec<usize>> {
    let mut seen = vec![];
    let plan = Plan { batch, seed, epochs, ..Plan::default() };
    let run = minimize(&Sgd::torch(), &plan, &mut [1.0], samples, |_, batch, grads| {
        seen.push(batch.to_vec());
        grads[0] = 0.0;
        1.0
    });
    let end = run.unwrap().end;
    assert_eq!(end, End { reason: Reason::Epochs, epochs, steps: seen.len() as u64 });
    seen
}

#[test]
fn a_full_batch_has_all_samples_in_order() {
    assert_eq!(batches(Batch::Full, 4, 0, 2), [vec![0, 1, 2, 3], vec![0, 1, 2, 3]]);
    assert_eq!(batches(Batch::Full, 0, 0, 2), [vec![], vec![]]);
}

#[test]
fn each_sample_comes_once_an_epoch() {
    for (batch, sizes) in
        [(Batch::Single, vec![1; 10]), (Batch::Mini(4), vec![4, 4, 2]), (Batch::Mini(99), vec![10])]
    {
        let seen = batches(batch, 10, 3, 2);
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [&sizes[..], &sizes].concat());
        for epoch in seen.chunks(sizes.len()) {
            let mut samples = epoch.concat();
            assert_ne!(samples, (0..10).collect::<Vec<_>>(), "not shuffled");
            samples.sort_unstable();
            assert_eq!(samples, (0..10).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_shuffle_follows_the_seed() {
    let order = |seed| batches(Batch::Single, 20, seed, 2).concat();
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    assert_ne!(order(1)[..20], order(1)[20..], "the second epoch has the order of the first");
    // The order itself is a promise: the same on every machine.
    assert_eq!(batches(Batch::Single, 6, 0, 1).concat(), [1, 3, 4, 0, 2, 5]);
}

fn parabola(p: &[f32], grads: &mut [f32]) -> f64 {
    grads[0] = 2.0 * (p[0] - 3.0);
    f64::from(p[0] - 3.0).powi(2)
}

fn descend(plan: Plan) -> (End, Vec<f64>, f32) {
    let mut params = [0.0];
    let run =
        minimize(&Sgd::torch().lr(0.1).unwrap(), &plan, &mut params, 0, |p, _, g| parabola(p, g)).unwrap();
    (run.end, run.history.iter().map(|epoch| epoch.loss).collect(), params[0])
}

#[test]
fn stops_after_the_epochs() {
    let (end, history, _) = descend(Plan { epochs: 7, ..Plan::default() });
    assert_eq!(end, End { reason: Reason::Epochs, epochs: 7, steps: 7 });
    assert_eq!(history.len(), 7);
    assert!(history.is_sorted_by(|a, b| a > b));
    assert_eq!(
        descend(Plan { epochs: 0, ..Plan::default() }).0,
        End { reason: Reason::Epochs, epochs: 0, steps: 0 }
    );
}

#[test]
fn stops_at_a_small_loss() {
    let (end, history, _) = descend(Plan { epochs: 1000, loss_below: Some(1e-3), ..Plan::default() });
    assert_eq!(end.reason, Reason::LossBelow);
    let (last, before) = history.split_last().unwrap();
    assert!(*last < 1e-3 && before.iter().all(|loss| *loss >= 1e-3));
}

#[test]
fn stops_at_a_small_gradient() {
    let (end, _, p) = descend(Plan { epochs: 1000, grad_norm_below: Some(1e-2), ..Plan::default() });
    assert_eq!(end.reason, Reason::GradNormBelow);
    assert!((p - 3.0).abs() < 1e-2);
}

#[test]
fn stops_without_improvement() {
    let losses = [5.0, 4.0, 3.5, 3.6, 3.45, 3.4, 3.0, 3.0];
    let stop = |patience, min_improvement| {
        let mut losses = losses.iter();
        let plan = Plan { patience: Some(patience), min_improvement, ..Plan::default() };
        let run = minimize(&Sgd::torch(), &plan, &mut [0.0], 0, |_, _, g| {
            g[0] = 0.0;
            *losses.next().unwrap()
        });
        run.unwrap().end
    };
    assert_eq!(stop(1, 0.0), End { reason: Reason::NoImprovement, epochs: 4, steps: 4 });
    // 3.45 and 3.4 are no improvement over 3.5 by more than .2.
    assert_eq!(stop(3, 0.2), End { reason: Reason::NoImprovement, epochs: 6, steps: 6 });
}

#[test]
fn a_non_finite_loss_or_gradient_takes_no_step() {
    for (loss, grad) in [(f64::NAN, 0.0), (f64::INFINITY, 0.0), (1.0, f32::NAN), (1.0, f32::INFINITY)] {
        let mut params = [1.0, 2.0];
        let mut calls = 0;
        let run = minimize(&Momentum::torch(), &Plan::default(), &mut params, 0, |_, _, g| {
            calls += 1;
            g[0] = if calls == 3 { grad } else { 0.0 };
            g[1] = 0.0;
            if calls == 3 { loss } else { 1.0 }
        })
        .unwrap();
        assert_eq!(run.end, End { reason: Reason::NotFinite, epochs: 2, steps: 2 });
        assert_eq!(run.history.len(), 2);
        assert_eq!(params, [1.0, 2.0]);
    }
}

/// The mean over samples: a last batch of one counts as one.
#[test]
fn the_loss_of_an_epoch_is_weighted_by_samples() {
    let plan = Plan { batch: Batch::Mini(2), epochs: 1, ..Plan::default() };
    let run = minimize(&Sgd::torch(), &plan, &mut [0.0], 3, |_, batch, g| {
        g[0] = batch.len() as f32;
        if batch.len() == 2 { 1.0 } else { 4.0 }
    })
    .unwrap();
    assert_eq!(run.history[0].loss, 2.0);
    assert_eq!(run.history[0].grad_norm, 2.0);
}

#[test]
fn the_callers_buffers_are_enough() -> Result<(), Error> {
    let (mut params, mut grads, mut v, mut order) = ([0.0], [f32::NAN], [f32::NAN], [9; 5]);
    let plan = Plan { batch: Batch::Mini(2), epochs: 200, ..Plan::default() };
    let mut epochs = 0;
    let workspace = Workspace { grads: &mut grads, state: &mut [&mut v], order: &mut order };
    let end = minimize_in(
        &Momentum::torch().lr(0.01)?,
        &plan,
        &mut params,
        workspace,
        |p, _, g| parabola(p, g),
        |epoch| epochs = epoch.number,
    )?;
    assert_eq!((end.steps, epochs), (600, 200));
    assert!((params[0] - 3.0).abs() < 1e-3);

    let workspace = Workspace { grads: &mut grads, state: &mut [], order: &mut [] };
    let refusal = minimize_in(&Momentum::torch(), &plan, &mut params, workspace, |_, _, _| 0.0, |_| ());
    assert!(matches!(refusal, Err(Error::StateCount { .. })));
    Ok(())
}

/// theta * x on random x, the program of the introductory texts: every rule finds the theta behind the data.
#[test]
fn a_line_is_fitted_by_every_rule() -> Result<(), Error> {
    let xs: Vec<f32> = (1..=50).map(|i| (i * 37 % 50) as f32 / 25.0 - 1.0).collect();
    let objective = |theta: &[f32], batch: &[usize], grads: &mut [f32]| {
        let errors = batch.iter().map(|&i| (xs[i], (theta[0] - 2.5) * xs[i]));
        grads[0] = errors.clone().map(|(x, e)| 2.0 * e * x).sum::<f32>() / batch.len() as f32;
        errors.map(|(_, e)| f64::from(e).powi(2)).sum::<f64>() / batch.len() as f64
    };
    for rule in [
        AnyRule::Sgd(Sgd::torch().lr(0.1)?),
        AnyRule::Momentum(Momentum::torch().lr(0.05)?),
        AnyRule::AdaGrad(AdaGrad::torch().lr(0.5)?),
        AnyRule::RmsProp(RmsProp::torch().lr(0.02)?.eps(1e-4)?),
        AnyRule::Adadelta(Adadelta::torch().lr(10.0)?),
        AnyRule::Adam(Adam::torch().lr(0.05)?),
    ] {
        for batch in [Batch::Full, Batch::Single, Batch::Mini(8)] {
            let mut theta = [0.0];
            let plan = Plan { batch, epochs: 300, loss_below: Some(1e-9), ..Plan::default() };
            minimize(&rule, &plan, &mut theta, xs.len(), objective)?;
            assert!((theta[0] - 2.5).abs() < 1e-2, "{theta:?} with {batch:?} by {rule:?}");
        }
    }
    Ok(())
}

#[test]
fn a_step_of_the_callers_own_is_told_its_number_and_may_end_the_loop() {
    let refusal = Sgd::torch().lr(-1.0).unwrap_err();
    let mut numbers = vec![];
    let mut run = |plan: &Plan, params: &mut [f32]| {
        let take_step = |number, params: &mut [f32], grads: &[f32]| {
            numbers.push(number);
            params[0] -= grads[0];
            if number == 3 { Err(refusal) } else { Ok(()) }
        };
        let objective = |_: &[f32], _: &[usize], grads: &mut [f32]| {
            grads[0] = 0.5;
            1.0
        };
        minimize_with(plan, params, &mut [0.0], &mut [], objective, take_step, |_| ())
    };
    let mut params = [2.0];
    let end = run(&Plan { epochs: 2, ..Plan::default() }, &mut params);
    assert_eq!(end, Ok(End { reason: Reason::Epochs, epochs: 2, steps: 2 }));
    assert_eq!(run(&Plan::default(), &mut params), Err(refusal));
    assert_eq!(run(&Plan { batch: Batch::Mini(0), ..Plan::default() }, &mut params), Err(Error::EmptyBatch));
    assert_eq!((params, numbers), ([-0.5], vec![1, 2, 1, 2, 3]));
}
