//! The forks of Adam.

use gradstep::{Adam, AdamEps, AmsGrad, Error};

use crate::{assert_close, assert_fork, run};

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
