//! What a step tells of itself, against plain formulas in `f64`.

use gradstep::{
    AnyRule, Format, Momentum, NonFinite, Pass, Rule, Sgd, Telemetry, TelemetrySlot, Tensor, Workers,
};
use testkit::{Random, elementwise, signed};

use crate::{
    cases::any_rule,
    model::{Numbers, Owned, with_tensors},
};

/// Takes the second step of a rule, with telemetry.
fn told(pass: &Pass, rule: &impl Rule, model: &mut [Owned]) -> Vec<Telemetry> {
    model.iter_mut().for_each(|tensor| tensor.told = Some(Telemetry::default()));
    let _ =
        with_tensors(model, |mut tensors| Workers::rayon().step_pass(pass, rule, 2, &mut tensors)).unwrap();
    model.iter().flat_map(|tensor| tensor.told).collect()
}

fn random_tensor(rule: &impl Rule, len: usize, random: &mut Random) -> Owned {
    let mut tensor = Owned::plain(rule, &signed(len, random), &signed(len, random));
    for slice in &mut tensor.state {
        slice.iter_mut().for_each(|x| *x = random.signed().abs());
    }
    tensor
}

/// In pieces, so that a long sum loses no digits.
fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    let squares: Vec<f64> = values.into_iter().map(|x| x * x).collect();
    squares.chunks(512).map(|piece| piece.iter().sum::<f64>()).sum::<f64>().sqrt()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}

#[track_caller]
fn near(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found}, not {expected}");
}

#[test]
fn norms_and_angles() {
    let rule = Momentum::torch().lr(0.25).unwrap();
    let mut random = Random(1);
    for len in [1, 33, 5000, 300_000] {
        let mut model = [random_tensor(&rule, len, &mut random)];
        let (params, grads) = (wide(&model[0].params.values()), wide(&model[0].grads.values()));
        let pass =
            Pass::new().loss_scale(8.0).unwrap().clip_tensor_norm(0.125).unwrap().clip_eps(0.0).unwrap();
        let told = told(&pass, &rule, &mut model)[0];

        let unscaled = norm(grads.iter().map(|g| g / 8.0));
        let factor = (0.125 / unscaled).min(1.0);
        let seen: Vec<f64> = grads.iter().map(|g| g / 8.0 * factor).collect();
        let update: Vec<f64> = model[0].state[0].iter().map(|&v| 0.25 * f64::from(v)).collect();
        assert_eq!(told.elements(), len as u64);
        near(told.grad_norm(), unscaled, 1e-14);
        near(told.clipped_grad_norm(), norm(seen.clone()), 1e-6);
        near(told.update_norm(), norm(update.clone()), 1e-6);
        near(told.param_norm(), norm(params.clone()), 1e-14);
        near(told.update_ratio(), norm(update.clone()) / norm(params), 1e-6);
        near(told.max_update().into(), update.iter().fold(0.0, |max, u| u.abs().max(max)), 1e-6);
        let product: f64 = update.iter().zip(&seen).map(|(u, g)| u * g).sum();
        assert!((told.cosine() - product / norm(update) / norm(seen)).abs() < 1e-6);
    }
}

/// Whatever the rule: but for rounding the update is what the parameters went down by.
#[test]
fn the_update_is_what_parameters_go_down_by() {
    let mut random = Random(2);
    for _ in 0..60 {
        let rule = any_rule(&mut random);
        let mut model = [random_tensor(&rule, 2000, &mut random)];
        let old = wide(&model[0].params.values());
        let told = told(&Pass::new(), &rule, &mut model)[0];
        let new = wide(&model[0].params.values());
        let change = norm(old.iter().zip(&new).map(|(old, new)| old - new));
        if change.is_finite() {
            let rounding = norm(old.iter().zip(&new).map(|(a, b)| 1e-7 * a.abs().max(b.abs())));
            assert!((told.update_norm() - change).abs() <= rounding, "{rule:?}");
        }
    }
}

#[test]
fn gradients_are_counted_as_the_rule_sees_them() {
    let grads = [0.0, -0.0, 1e-40, -1e-40, f32::MIN_POSITIVE, f32::NAN, f32::INFINITY, 1.0];
    for rule in [Sgd::torch(), Sgd::torch().maximize(true).unwrap()] {
        let mut model = [Owned::plain(&rule, &[1.0; 8], &grads)];
        let told = told(&Pass::new().check(NonFinite::Step), &rule, &mut model)[0];
        assert_eq!((told.zeros(), told.subnormals(), told.non_finite()), (2, 2, 2));
        assert!(told.grad_norm().is_nan());
    }
    // The factor makes the normal one subnormal, and the subnormal ones zero.
    let mut model = [Owned::plain(&Sgd::torch(), &[1.0; 8], &grads)];
    let told = told(&Pass::new().loss_scale(1e6).unwrap(), &Sgd::torch(), &mut model)[0];
    assert_eq!((told.zeros(), told.subnormals(), told.non_finite()), (4, 1, 2));
}

/// A norm that is NaN makes the factor of clipping NaN, and so all gradients; whatever the length.
#[test]
fn gradients_that_clipping_spoils_are_counted() {
    let pass = Pass::new().clip_global_norm(1.0).unwrap().check(NonFinite::Step);
    for len in [1, 15, 16, 33, 4100] {
        let mut grads = vec![0.0; len];
        grads[0] = f32::NAN;
        let mut model = [Owned::plain(&Sgd::torch(), &vec![1.0; len], &grads)];
        let told = told(&pass, &Sgd::torch(), &mut model)[0];
        assert_eq!((told.non_finite(), told.zeros(), told.subnormals()), (len as u64, 0, 0));
    }
}

#[test]
fn updates_that_rounding_loses_are_counted() {
    let mut random = Random(3);
    let rule = Sgd::torch().lr(1e-3).unwrap();
    let (old, grads) = (signed(3000, &mut random), signed(3000, &mut random));
    let old = Numbers::new(Some(Format::Bf16), &old);
    let (mut params, slot) = (old.clone(), TelemetrySlot::default());
    let tensor = Tensor::new(params.write(), &grads[..], []).unwrap().telemetry(&slot);
    let _ = Workers::serial().step_pass(&Pass::new(), &rule, 1, &mut [tensor]).unwrap();
    let pairs = params.values().into_iter().zip(old.values()).zip(&grads);
    let lost = pairs.filter(|&((new, old), &g)| new == old && g != 0.0).count();
    assert!(lost > 1000);
    assert_eq!(slot.get().lost_updates(), lost as u64);
}

#[test]
fn what_is_lost_and_what_is_not() {
    let lost = |p: f32, g: f32| {
        let mut model = [Owned::plain(&Sgd::torch(), &[p], &[g])];
        told(&Pass::new(), &Sgd::torch().lr(1.0).unwrap(), &mut model)[0].lost_updates()
    };
    assert_eq!([lost(1.0, 1e-9), lost(1.0, 0.5), lost(1.0, 0.0), lost(0.0, 1e-40)], [1, 0, 0, 0]);
    assert_eq!([lost(f32::NAN, 1.0), lost(f32::INFINITY, 1.0)], [0, 1]);
}

#[test]
fn momentum_keeps_or_turns_its_sign() {
    let agreement = |rule: AnyRule, state: &[f32], grads: &[f32]| {
        let mut tensor = Owned::plain(&rule, &vec![1.0; grads.len()], grads);
        if let Some(slice) = tensor.state.first_mut() {
            slice.copy_from_slice(state);
        }
        told(&Pass::new(), &rule, &mut [tensor])[0].sign_agreement()
    };
    let (before, grads) = ([1.0, 1.0, -1.0, 0.0], [1.0, -900.0, -1.0, 1.0]);
    for name in ["momentum", "adam", "lion"] {
        assert_eq!(agreement(AnyRule::named(name).unwrap(), &before, &grads), Some(0.5), "{name}");
    }
    // No momentum, or one that may have moved before the step.
    for name in ["sgd", "rprop", "lamb", "prodigy"] {
        assert_eq!(agreement(AnyRule::named(name).unwrap(), &before, &grads), None, "{name}");
    }
    assert_eq!(agreement(AnyRule::named("momentum").unwrap(), &[], &[]), None);
}

#[test]
fn every_momentum_is_known_by_its_role() {
    let known = ["exp_avg", "momentum_buffer"];
    let telling = |name: &&str| {
        let rule = AnyRule::named(name).unwrap();
        let told = told(&Pass::new(), &rule, &mut [random_tensor(&rule, 3, &mut Random(4))])[0];
        let keeps = rule.slots().iter().any(|slot| known.contains(&slot.name));
        assert_eq!(told.sign_agreement().is_some(), keeps, "{name}");
        keeps
    };
    assert!(elementwise().filter(telling).count() > 10);
}

#[test]
fn tensors_are_merged() {
    let mut random = Random(5);
    let rule = Momentum::torch();
    let mut model = [3, 5000, 70].map(|len| random_tensor(&rule, len, &mut random));
    let parts = told(&Pass::new(), &rule, &mut model);
    let merge = |order: [usize; 3]| {
        let mut all = Telemetry::default();
        order.iter().for_each(|&i| all.merge(&parts[i]));
        all
    };
    let all = merge([0, 1, 2]);
    assert_eq!(all, merge([2, 0, 1]));
    assert_eq!(all.elements(), 5073);
    near(all.grad_norm(), norm(parts.iter().map(Telemetry::grad_norm)), 1e-14);
    near(all.update_norm(), norm(parts.iter().map(Telemetry::update_norm)), 1e-14);
    assert_eq!(all.max_update(), parts.iter().fold(0.0, |max, part| part.max_update().max(max)));
    let agreeing = |told: &Telemetry| told.sign_agreement().unwrap() * told.elements() as f64;
    near(agreeing(&all), parts.iter().map(agreeing).sum(), 1e-14);
}

/// As if each had had its own, whether the gradients were measured before the step or not.
#[test]
fn tensors_may_share_a_slot() {
    let clipping = Pass::new().clip_tensor_norm(0.5).unwrap();
    for pass in [Pass::new(), clipping, clipping.check(NonFinite::Skip)] {
        let step = |slots: [&TelemetrySlot; 2]| {
            let mut params = [[1.0_f32, 2.0], [3.0, 4.0]];
            let grads = [[0.5_f32, -0.25], [1.5, 0.0]];
            let [a, b] = &mut params;
            let mut tensors = [(a, &grads[0], slots[0]), (b, &grads[1], slots[1])]
                .map(|(p, g, slot)| Tensor::new(&mut p[..], &g[..], []).unwrap().telemetry(slot));
            let _ = Workers::serial().step_pass(&pass, &Sgd::torch(), 1, &mut tensors).unwrap();
            let mut told = slots[0].get();
            told.merge(&slots[1].get());
            told
        };
        let (shared, a, b) = (TelemetrySlot::default(), TelemetrySlot::default(), TelemetrySlot::default());
        let apart = step([&a, &b]);
        step([&shared, &shared]);
        assert_eq!(shared.get(), apart);
    }
}

/// A slot does not tell of the step before.
#[test]
fn what_is_left_out_tells_nothing() {
    let slot = TelemetrySlot::default();
    let step = |grad: f32, policy| {
        let (mut params, grads) = ([1.0_f32], [grad]);
        let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap().telemetry(&slot);
        let _ =
            Workers::serial().step_pass(&Pass::new().check(policy), &Sgd::torch(), 1, &mut [tensor]).unwrap();
        slot.get()
    };
    for policy in [NonFinite::Refuse, NonFinite::Skip] {
        assert_eq!(step(0.5, policy).grad_norm(), 0.5);
        assert_eq!(step(f32::NAN, policy), Telemetry::default());
    }
    let nothing = Telemetry::default();
    assert_eq!((nothing.cosine(), nothing.max_update(), nothing.sign_agreement()), (0.0, 0.0, None));
}
