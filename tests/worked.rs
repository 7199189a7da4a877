//! The numbers that introductory texts work through, and the frameworks' first steps.

use gradstep::{AdaGrad, Adam, Error, Momentum, RmsProp, Sgd, Velocity, step};

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

/// Weight .5, bias .1, gradient (-.02, -.03), lr .01, momentum .9: the text that prints `p += v` arrives at .4998 and
/// .0997 by it, which climbs. With the minus sign the gradient is descended.
#[test]
fn the_worked_momentum_example() -> Result<(), Error> {
    let rule = Momentum::textbook().lr(0.01)?.momentum(0.9)?;
    let (mut params, mut v) = ([0.5, 0.1], [0.0; 2]);
    let grads = [-0.02, -0.03];
    step(&rule, 1, &mut params, &grads, &mut [&mut v])?;
    assert_close(&v, &[-0.0002, -0.0003]);
    assert_close(&params, &[0.5002, 0.1003]);
    step(&rule, 2, &mut params, &grads, &mut [&mut v])?;
    assert_close(&v, &[-0.00038, -0.00057]);
    assert_close(&params, &[0.50058, 0.10087]);
    Ok(())
}

/// The misprint is the rule that climbs: `maximize` shows where it leads.
#[test]
fn the_misprint_climbs() -> Result<(), Error> {
    let loss = |p: f32| (p - 3.0).powi(2);
    let run = |rule: Momentum| {
        let (mut p, mut v) = ([0.0], [0.0]);
        for t in 1..=20 {
            let g = [2.0 * (p[0] - 3.0)];
            step(&rule, t, &mut p, &g, &mut [&mut v]).unwrap();
        }
        loss(p[0])
    };
    assert!(run(Momentum::textbook()) < loss(0.0));
    assert!(run(Momentum::textbook().maximize(true)?) > loss(0.0));
    Ok(())
}

/// With the learning rate constant all conventions but the average walk the same path.
#[test]
fn conventions_agree_at_a_constant_lr() -> Result<(), Error> {
    let path = |rule: Momentum| {
        let (mut p, mut v) = ([1.0], [0.0]);
        for t in 1..=10 {
            let g = p.map(|p: f32| 2.0 * p);
            step(&rule, t, &mut p, &g, &mut [&mut v]).unwrap();
        }
        p
    };
    let rule = Momentum::torch().lr(0.05)?;
    assert_close(&path(rule), &path(rule.velocity(Velocity::LrInside)?));
    assert_close(&path(rule), &path(rule.velocity(Velocity::LrInsideNegative)?));
    // The average is the sum at a tenth of the learning rate.
    assert_close(&path(rule), &path(rule.velocity(Velocity::Average)?.lr(0.5)?));
    Ok(())
}

#[test]
fn first_steps() -> Result<(), Error> {
    let mut p = [1.0, 1.0];
    let grads = [0.5, -4.0];
    step(&Sgd::torch().lr(0.1)?, 1, &mut p, &grads, &mut [])?;
    assert_close(&p, &[0.95, 1.4]);

    // AdaGrad and Adam take lr along each coordinate at first, RMSProp lr/sqrt(1 - alpha).
    let mut p = [1.0, 1.0];
    step(&AdaGrad::torch().lr(0.1)?, 1, &mut p, &grads, &mut [&mut [0.0; 2]])?;
    assert_close(&p, &[0.9, 1.1]);
    let mut p = [1.0, 1.0];
    step(&Adam::torch().lr(0.1)?, 1, &mut p, &grads, &mut [&mut [0.0; 2], &mut [0.0; 2]])?;
    assert_close(&p, &[0.9, 1.1]);
    let mut p = [1.0, 1.0];
    step(&RmsProp::torch().lr(0.1)?.alpha(0.75)?, 1, &mut p, &grads, &mut [&mut [0.0; 2]])?;
    assert_close(&p, &[0.8, 1.2]);
    Ok(())
}

/// The bias corrections as the paper's algorithm has them, worked by hand for two steps with betas of 1/2.
#[test]
fn adam_by_hand() -> Result<(), Error> {
    let rule = Adam::torch().lr(0.1)?.beta1(0.5)?.beta2(0.5)?.eps(0.0)?;
    let (mut p, mut m, mut v) = ([1.0], [0.0], [0.0]);
    step(&rule, 1, &mut p, &[1.0], &mut [&mut m, &mut v])?;
    assert_close(&[p[0], m[0], v[0]], &[0.9, 0.5, 0.5]);
    step(&rule, 2, &mut p, &[3.0], &mut [&mut m, &mut v])?;
    // m = .25 + 1.5, v = .25 + 4.5; both divided by 3/4: 7/3 and 19/3.
    assert_close(&[m[0], v[0]], &[1.75, 4.75]);
    assert_close(&p, &[0.9 - 0.1 * (7.0 / 3.0) / (19.0f32 / 3.0).sqrt()]);
    Ok(())
}
