//! Factors on gradients are right whatever their size: the loss scale's inverse, those of clipping, and their product.

use gradstep::{
    AnyRule, Backend, FloatsMut, Format, LossScaler, NonFinite, Pass, Sgd, TelemetrySlot, Tensor, Workers,
};
use proptest::prelude::*;
use testkit::{Random, configurations_of, signed};

use crate::{
    model::{Numbers, Owned, assert_same, with_tensors},
    parts::Parts,
    twin,
};

/// How a gradient is handed over, and what else is done to it: a multiplication alone, or more.
#[derive(Clone, Copy, Debug)]
enum Way {
    InPlace,
    Bf16,
    TwoHalves,
    WithinValues,
    CheckedRows,
}

const WAYS: [Way; 5] = [Way::InPlace, Way::Bf16, Way::TwoHalves, Way::WithinValues, Way::CheckedRows];

/// What the rule sees of a gradient: the parameters start at zero, and go down by it.
fn seen(pass: Pass, way: Way, grads: &[f32]) -> Vec<f32> {
    let rule = Sgd::torch().lr(1.0).unwrap();
    let mut params = vec![0.0_f32; grads.len()];
    let halves: Vec<f32> = grads.iter().map(|g| g / 2.0).collect();
    let given = Numbers::new(matches!(way, Way::Bf16).then_some(Format::Bf16), grads);
    let second = [Numbers::new(None, &halves)];
    let more: Vec<_> = second.iter().map(Numbers::read).collect();
    let tensor = match way {
        Way::TwoHalves => Tensor::new(&mut params[..], &halves[..], []).unwrap().more_grads(&more),
        _ => Tensor::new(&mut params[..], gradstep::Grads::Read(given.read()), []).unwrap(),
    };
    let (pass, tensor) = match way {
        Way::WithinValues => (pass.clip_value(f32::MAX.into()).unwrap(), tensor),
        Way::CheckedRows => (pass.check(NonFinite::Refuse), tensor.rows(1)),
        _ => (pass, tensor),
    };
    let report = Workers::serial().step_pass(&pass, &rule, 1, &mut [tensor]).unwrap();
    assert_eq!(report.stepped, 1);
    params.iter().map(|p| -p).collect()
}

/// The norm of what the tests draw, whose elements are exact in bf16.
fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

/// Within some last places of an `f32`, or of the least one.
fn nearly(found: f32, exact: f64) -> bool {
    (f64::from(found) - exact).abs() <= 4.0 * 2.0_f64.powi(-24) * exact.abs() + 2.0 * 2.0_f64.powi(-149)
}

#[test]
fn a_huge_gradient_is_clipped_to_a_tiny_norm() {
    let pass = Pass::new().clip_global_norm(1e-6).unwrap();
    for pass in [pass, Pass::new().clip_tensor_norm(1e-6).unwrap()] {
        let seen = seen(pass, Way::InPlace, &[3e38; 4]);
        assert!(seen.iter().all(|&g| nearly(g, 5e-7)), "{seen:?}");
    }
}

#[test]
fn a_huge_gradient_is_clipped_to_tiny_parameters() {
    let pass = Pass::new().clip_adaptive(1e-6, 1e-4).unwrap();
    let mut params = [0.0_f32; 4];
    let tensor = Tensor::new(&mut params[..], &[3e38_f32; 4][..], []).unwrap();
    let rule = Sgd::torch().lr(1.0).unwrap();
    let report = Workers::serial().step_pass(&pass, &rule, 1, &mut [tensor]).unwrap();
    assert_eq!(report.stepped, 1);
    assert!(params.iter().all(|&p| nearly(-p, 5e-11)), "{params:?}");
}

fn power_of_two(exponent: i32) -> f64 {
    2.0_f64.powi(exponent)
}

/// Numbers of bf16 of about this size.
fn gradient(random: &mut Random, len: usize, exponent: i32) -> Vec<f32> {
    let numbers = Numbers::new(Some(Format::Bf16), &signed(len, random));
    numbers.values().into_iter().map(|x| x * power_of_two(exponent) as f32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// As large as a loss scale, a norm and a gradient may be, so that the unscaled gradient is an ordinary number.
    #[test]
    fn every_product_of_unscaling_and_clipping_is_right(seed: u64, way in prop::sample::select(WAYS.to_vec())) {
        let random = &mut Random(seed);
        let exponent = |random: &mut Random, from: i32, to: i32| from + random.below((to - from) as usize) as i32;
        let unscaled = exponent(random, -80, 120);
        let scale = exponent(random, -144, 144).clamp(-100 - unscaled, 125 - unscaled);
        let loss_scale = power_of_two(scale) * (1.0 + random.unit()) / 2.0;
        let max = power_of_two(exponent(random, -140, 128)) * (1.0 + random.unit());
        let len = 1 + random.below(40);
        let grads = gradient(random, len, unscaled + scale);

        let before = norm(grads.iter().map(|&g| f64::from(g) / loss_scale));
        let factor = (max / before).min(1.0) / loss_scale;
        let pass = Pass::new().clip_eps(0.0).unwrap().loss_scale(loss_scale).unwrap();
        let clipped = [
            pass.clip_global_norm(max).unwrap(),
            pass.clip_tensor_norm(max).unwrap(),
            // Of parameters that are zero.
            pass.clip_adaptive(1.0, max).unwrap(),
        ];
        for pass in clipped {
            for (found, &g) in seen(pass, way, &grads).into_iter().zip(&grads) {
                let exact = f64::from(g) * factor;
                prop_assert!(nearly(found, exact), "{:e} by {:e} is {:e}, not {:e}", g, factor, found, exact);
            }
        }
    }
}

/// A gradient times a power of two, with that power as its loss scale, is the gradient: for every rule, bit for bit, with its
/// telemetry.
#[test]
fn a_loss_scale_of_any_size_is_taken_out_of_every_rule() {
    let mut random = Random(11);
    for name in AnyRule::NAMES {
        let configurations = configurations_of(name);
        let rule = configurations[random.below(configurations.len())].rule;
        let plain = Owned::random(&Parts::NONE, &rule, 40, &mut random);
        let (params, grads) = (plain.params.values(), gradient(&mut random, 40, -20));
        let plain = Owned {
            state: plain.state,
            told: Some(Default::default()),
            ..Owned::plain(&rule, &params, &grads)
        };
        for exponent in [-127, -120, 127, 140] {
            let scaled: Vec<f32> =
                grads.iter().map(|&g| (f64::from(g) * power_of_two(exponent)) as f32).collect();
            // Some of the smallest have lost digits.
            let kept: Vec<f32> =
                scaled.iter().map(|&g| (f64::from(g) / power_of_two(exponent)) as f32).collect();
            assert!(scaled.iter().all(|g| g.is_finite()));
            let mut expected = [Owned { grads: Numbers::new(None, &kept), ..plain.clone() }];
            let mut found = [Owned { grads: Numbers::new(None, &scaled), ..plain.clone() }];
            let step = |pass: &Pass, model: &mut [Owned]| {
                let step =
                    |mut tensors: Vec<Tensor<'_>>| Workers::serial().step_pass(pass, &rule, 2, &mut tensors);
                assert_eq!(with_tensors(model, step).unwrap().stepped, 1);
            };
            step(&Pass::new(), &mut expected);
            step(&Pass::new().loss_scale(power_of_two(exponent)).unwrap(), &mut found);
            assert_eq!(found[0].told, expected[0].told, "{name} by 2^{exponent}");
            found[0].grads = expected[0].grads.clone();
            assert_same(&found, &expected, || format!("{name} by 2^{exponent}"));
        }
    }
}

/// Tensors are used again, and threads and backends agree.
#[test]
fn a_factor_of_one_step_does_not_reach_the_next() {
    let rule = Sgd::torch().lr(1.0).unwrap();
    for backend in Backend::available() {
        let workers = Workers::rayon().serial_below(0).backend(backend);
        let (mut params, grads) = (vec![0.0_f32; 9000], vec![1e30_f32; 9000]);
        let slot = TelemetrySlot::default();
        let mut model = [Tensor::new(&mut params[..], &grads[..], []).unwrap().telemetry(&slot)];
        let tiny = Pass::new().clip_global_norm(1e-12).unwrap();
        let report = workers.step_pass(&tiny, &rule, 1, &mut model).unwrap();
        assert_eq!(report.stepped, 1);
        assert!((slot.get().update_norm() / 1e-12 - 1.0).abs() < 1e-6);
        assert!((slot.get().grad_norm() / 1e30 - 9000.0_f64.sqrt()).abs() < 1e-4);
        let plain = Pass::new().clip_global_norm(1e40).unwrap();
        let report = workers.step_pass(&plain, &rule, 2, &mut model).unwrap();
        assert_eq!(report.stepped, 1);
        assert!(params.iter().all(|&p| p == -1e30), "{backend}");
    }
}

/// Whatever the scaler makes of its scale, a pass takes it, and takes it out.
#[test]
fn every_scale_of_a_scaler_is_taken_out() {
    let mut scaler = LossScaler::new().growth_interval(1);
    (0..200).for_each(|_| scaler.update(false));
    for _ in 0..300 {
        let pass = Pass::new().loss_scale(scaler.scale()).unwrap();
        let gradient = scaler.scale() as f32;
        let seen = seen(pass, Way::InPlace, &[gradient, gradient / -2.0]);
        assert_eq!(seen[0], 1.0, "at {:e}", scaler.scale());
        scaler.update(true);
    }
    assert_eq!(scaler.scale() as f32, f32::from_bits(1));
}

#[test]
fn the_norm_of_gradients_is_told_unscaled() {
    for exponent in [-140, -127, 0, 127, 140] {
        let grads = [3.0, 4.0].map(|g| (g * power_of_two(exponent - 20)) as f32);
        let kept: Vec<f32> = grads.iter().map(|&g| (f64::from(g) / power_of_two(exponent)) as f32).collect();
        let pass = Pass::new().loss_scale(power_of_two(exponent)).unwrap().check(NonFinite::Refuse);
        let mut params = [0.0_f32; 2];
        let tensor = Tensor::new(FloatsMut::F32(&mut params), &grads[..], []).unwrap();
        let report = Workers::serial().step_pass(&pass, &Sgd::torch(), 1, &mut [tensor]).unwrap();
        assert_eq!(report.grad_norm, Some(twin::norm(&kept)), "by 2^{exponent}");
    }
}
