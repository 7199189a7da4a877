//! Every finite gradient gives a finite parameter, under every rule: however large it is, however small, however often it
//! comes.

use gradstep::{
    Adam, AnyRule, Backend, FloatsMut, Format, Lars, NonFinite, Pass, Rule, Tensor, Workers, new_state,
};
use testkit::{presets, slices};

const STEPS: u64 = 50;

/// Gradients by the number of the step and of the element.
type Pattern = (&'static str, fn(u64, usize, f32) -> f32);

const PATTERNS: [Pattern; 4] = [
    ("constant", |_, _, size| size),
    ("of both signs", |t, i, size| if (t + i as u64).is_multiple_of(3) { -size } else { size }),
    ("alternating with small ones", |t, _, size| if t % 2 == 1 { size } else { 0.1 }),
    ("alone among small ones", |t, i, size| if t == 2 && i == 0 { size } else { 0.1 }),
];

const SIZES: [f32; 10] = [f32::MAX, 3e38, 1e20, 2e19, 1e19, 1e10, 1e-30, f32::MIN_POSITIVE, 1e-43, 0.0];

/// Parameters and state after all steps.
fn run(
    rule: &AnyRule,
    backend: Backend,
    len: usize,
    grad: impl Fn(u64, usize) -> f32,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let mut params: Vec<f32> = (0..len).map(|i| 1.0 - 0.3 * i as f32).collect();
    let mut state = new_state(rule, &params);
    for t in 1..=STEPS {
        let grads: Vec<f32> = (0..len).map(|i| grad(t, i)).collect();
        backend.step(rule, t, &mut params, &grads, &mut slices(&mut state)).unwrap();
    }
    (params, state)
}

#[test]
fn finite_gradients_give_finite_parameters() {
    let mut faults = Vec::new();
    for one in AnyRule::NAMES.iter().flat_map(|name| presets(name)) {
        for backend in Backend::available() {
            for len in [1, 19] {
                for size in SIZES {
                    for (pattern, grad) in PATTERNS {
                        let (params, state) = run(&one.rule, backend, len, |t, i| grad(t, i, size));
                        let whole = params.iter().chain(state.iter().flatten()).all(|x| x.is_finite());
                        if !whole {
                            faults.push(format!(
                                "{} on {backend}, {size:e} {pattern}: {params:?} {state:?}",
                                one.label
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults, the first: {:#?}", faults.len(), &faults[..faults.len().min(12)]);
}

/// A NaN that nobody looks for is still seen in its parameter, and in no other; an infinity shows, or is taken for a large
/// number, and harms no other parameter either.
#[test]
fn gradient_that_is_not_finite_stays_in_its_element() {
    // These step by signs alone, or by a bound.
    let blind = ["signsgd", "signum", "lion", "rprop", "sophia"];
    for one in AnyRule::NAMES.iter().flat_map(|name| presets(name)) {
        if one.rule.slots().iter().any(|slot| !slot.is_full()) {
            continue;
        }
        for backend in Backend::available() {
            for poison in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let grad = |t, i| if t == 3 && i == 7 { poison } else { 0.1 };
                let (params, _) = run(&one.rule, backend, 19, grad);
                let unseen = poison.is_nan() && params[7].is_finite() && !blind.contains(&one.rule.name());
                assert!(!unseen, "{} on {backend}: {poison} became {}", one.label, params[7]);
                let mut others = params.iter().enumerate().filter(|(i, _)| *i != 7);
                assert!(others.all(|(_, p)| p.is_finite()), "{} on {backend}", one.label);
            }
        }
    }
}

#[test]
fn adam_steps_as_exact_arithmetic_does_after_a_huge_gradient() {
    let (mut p, mut m, mut v) = ([1.0_f32], [0.0], [0.0]);
    let pass = Pass::new().check(NonFinite::Refuse);
    let mut path = Vec::new();
    for (t, g) in (1..).zip([0.1_f32, 2e19, 0.1]) {
        let grads = [g];
        let tensor = Tensor::new(&mut p[..], &grads[..], [&mut m[..], &mut v[..]]).unwrap();
        let report = Workers::serial().step_pass(&pass, &Adam::torch(), t, &mut [tensor]).unwrap();
        assert!(!report.refused);
        path.push(p[0]);
    }
    for (found, exact) in path.iter().zip([0.999, 0.998_256, 0.997_681]) {
        assert!((found - exact).abs() < 2e-6, "{path:?}");
    }
}

/// Rules that do not see the scale of a gradient take a step of the same length at any scale.
#[test]
fn first_step_is_as_long_at_any_scale() {
    for name in ["adam", "adamw", "adagrad", "nadam", "qhadam", "ademamix", "adan", "rmsprop"] {
        let mut rule = AnyRule::named(name).unwrap();
        rule.set("eps", 0.0).unwrap();
        let step = |size: f32| {
            let (mut params, mut state) = ([0.0_f32], new_state(&rule, &[0.0]));
            Backend::detect().step(&rule, 1, &mut params, &[size], &mut slices(&mut state)).unwrap();
            params[0]
        };
        let usual = step(1.0);
        for size in [1e10, 1e18, 1e19, 1e20, 1e30, 3e38] {
            assert!(
                (step(size) / usual - 1.0).abs() < 1e-5,
                "{name} at {size:e}: {} and {usual}",
                step(size)
            );
        }
    }
}

#[test]
fn lars_takes_a_ratio_that_no_f32_holds() {
    let rule = Lars::optax().lr(1.0).unwrap();
    let (mut p, mut v, mut ratio) = ([1.0], [0.0], [0.0]);
    gradstep::step(&rule, 1, &mut p, &[1e-43], &mut [&mut v, &mut ratio]).unwrap();
    assert!((p[0] - 0.999).abs() < 1e-6, "{p:?}");
    assert!(ratio[0].is_finite());
}

/// Rules with norms: a step from the tiniest gradients is as long as from ordinary ones, where it does not depend on their
/// scale.
#[test]
fn rules_with_norms_step_by_tiny_and_huge_gradients() {
    for name in ["ngd", "lars", "lamb", "novograd"] {
        let mut rule = AnyRule::named(name).unwrap();
        if rule.get("eps").is_some() {
            rule.set("eps", 0.0).unwrap();
        }
        let step = |size: f32| {
            let (mut params, mut state) = ([1.0_f32, 2.0], new_state(&rule, &[1.0, 2.0]));
            let grads = [size, -size];
            Backend::detect().step(&rule, 1, &mut params, &grads, &mut slices(&mut state)).unwrap();
            params[0] - 1.0
        };
        let usual = step(1.0);
        // LAMB squares single gradients, and 1e-30 squared is zero in `f32`.
        let sizes: &[f32] =
            if name == "lamb" { &[1e-10, 1e10, 3e38] } else { &[1e-43, 1e-38, 1e-30, 1e30, 3e38] };
        for &size in sizes {
            let error = (step(size) / usual - 1.0).abs();
            assert!(error < 2e-2, "{name} at {size:e}: {} and {usual}", step(size));
        }
    }
}

/// With 16-bit parameters, in a pass.
#[test]
fn half_precision_parameters_stay_finite() {
    for name in ["adam", "adagrad", "madgrad", "ftrl", "dog", "prodigy", "novograd", "momentum"] {
        let rule = AnyRule::named(name).unwrap();
        let (mut bits, mut state) = ([0x3f80_u16; 3], new_state(&rule, &[1.0; 3]));
        for t in 1..=STEPS {
            let grads = [if t % 2 == 1 { 3e38_f32 } else { 0.1 }; 3];
            let tensor =
                Tensor::new(FloatsMut::Half(Format::Bf16, &mut bits), &grads[..], slices(&mut state));
            let pass = Pass::new().check(NonFinite::Refuse);
            let report = Workers::serial().step_pass(&pass, &rule, t, &mut [tensor.unwrap()]).unwrap();
            assert!(!report.refused);
        }
        assert!(bits.iter().all(|bits| bits & 0x7f80 != 0x7f80), "{name}: {bits:x?}");
    }
}
