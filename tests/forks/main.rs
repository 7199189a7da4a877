//! Every fork between the frameworks that these rules have: both sides by hand, and that they differ.

mod adam;
mod adaptive;
mod descent;
mod everywhere;
mod relatives;
mod whole;

use gradstep::{Rule, new_state, step};
use testkit::slices;

/// The parameter after each step from 1 under these gradients, and the state after the last.
fn run(rule: impl Rule, grads: &[f32]) -> (Vec<f32>, Vec<f32>) {
    run_from(1.0, rule, grads)
}

fn run_from(start: f32, rule: impl Rule, grads: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut params = [start];
    let mut state = new_state(&rule, &params);
    let mut slices = slices(&mut state);
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
