//! What becomes of gradients that are not finite: refused steps and skipped tensors change nothing, bit for bit.

use gradstep::{
    AnyRule, Format, Grads, LossScaler, NonFinite, Optimizer, Param, Pass, PassReport, Rule as _, Saved, Sgd,
    StateKind, Telemetry, Tensor, Workers,
};
use proptest::prelude::*;
use testkit::Random;

use crate::{
    cases::{Case, any_len, share_numbers, shared_numbers, shown},
    model::{Numbers, Owned, Padded, assert_same, with_tensors},
};

/// A case with a policy, and which of its tensors are poisoned.
fn poisoned(seed: u64, policy: NonFinite) -> (Case, Vec<bool>) {
    let mut random = Random(seed);
    let mut case = Case::random(&mut random, any_len);
    case.parts.check = Some(policy);
    let poisoned = case.poison(&mut random);
    (case, poisoned)
}

/// What the tensors and the report say after the step: which were skipped, and how many elements were not finite.
struct Told {
    report: PassReport,
    skipped: Vec<bool>,
    non_finite: Vec<u64>,
}

fn run(case: &Case, model: &mut [Owned]) -> Told {
    case.run(&Workers::rayon().serial_below(0), model, |report, tensors| Told {
        report: *report,
        skipped: tensors.iter().map(Tensor::skipped).collect(),
        non_finite: tensors.iter().map(Tensor::non_finite).collect(),
    })
}

/// Whether it was counted where the poison is, and nowhere else.
fn counts_agree(told: &Told, poisoned: &[bool]) {
    let found: Vec<bool> = told.non_finite.iter().map(|&n| n > 0).collect();
    assert_eq!(found, poisoned);
    assert_eq!(told.report.non_finite, told.non_finite.iter().sum());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refused_step_changes_nothing(seed: u64) {
        let (case, poisoned) = poisoned(seed, NonFinite::Refuse);
        let mut model = case.model.clone();
        let told = run(&case, &mut model);
        counts_agree(&told, &poisoned);
        let refused = poisoned.contains(&true);
        prop_assert_eq!(told.report.refused, refused);
        if refused {
            assert_same(&model, &case.model, || case.label());
            prop_assert!(told.skipped.iter().all(|skipped| *skipped));
            let PassReport { stepped, skipped, elements, .. } = told.report;
            prop_assert_eq!((stepped, skipped, elements), (0, model.len(), 0));
            let silent = |tensor: &Owned| tensor.told.is_none_or(|told| told == Telemetry::default());
            prop_assert!(model.iter().all(silent));
        }
    }

    #[test]
    fn a_skipped_tensor_changes_nothing(seed: u64) {
        let (case, poisoned) = poisoned(seed, NonFinite::Skip);
        let mut model = case.model.clone();
        let told = run(&case, &mut model);
        counts_agree(&told, &poisoned);
        prop_assert!(!told.report.refused);
        prop_assert_eq!(&told.skipped, &poisoned);

        let of = |model: &[Owned], skipped: bool| -> Vec<Owned> {
            model.iter().zip(&poisoned).filter(|(_, now)| **now == skipped).map(|(t, _)| t.clone()).collect()
        };
        // But for the numbers that a rule shares among all tensors.
        let mut left_out = of(&case.model, true);
        if let Some(stepped) = of(&model, false).first() {
            let shared = shared_numbers(&case.rule, stepped);
            left_out.iter_mut().for_each(|tensor| share_numbers(&case.rule, &shared, tensor));
        }
        assert_same(&of(&model, true), &left_out, || case.label());
        let alone = case.with_model(of(&case.model, false));
        let mut expected = alone.model.clone();
        let told_alone = run(&alone, &mut expected);
        assert_same(&of(&model, false), &expected, || case.label());
        let stepped: Vec<_> = of(&model, false).iter().map(|tensor| tensor.told).collect();
        prop_assert_eq!(stepped, expected.iter().map(|tensor| tensor.told).collect::<Vec<_>>());
        let but_for_what_was_left_out = PassReport { skipped: 0, non_finite: 0, ..told.report };
        prop_assert_eq!(but_for_what_was_left_out, told_alone.report);
    }

    #[test]
    fn a_step_that_is_taken_regardless_counts(seed: u64) {
        let (case, poisoned) = poisoned(seed, NonFinite::Step);
        let told = run(&case, &mut case.model.clone());
        counts_agree(&told, &poisoned);
        prop_assert!(!told.report.refused && told.skipped.iter().all(|skipped| !skipped));
        prop_assert_eq!(told.report.stepped, case.model.len());
    }

    /// An optimizer's pass is that over slices, and counts the tensors that it stepped.
    #[test]
    fn an_optimizer_counts_what_it_stepped(seed: u64, policy in any_policy(), poison: bool) {
        let (mut case, _) = poisoned(seed, policy);
        if !poison {
            case = Case::random(&mut Random(seed), any_len);
        }
        let mut expected = case.model.clone();
        let told = run(&case, &mut expected);

        let mut optimizer = optimizer_for(&case);
        let mut model: Vec<Owned> = case.model.clone();
        model.iter_mut().for_each(|tensor| tensor.state.clear());
        let report = optimizer_step(&mut optimizer, &case, &mut model, &told);
        prop_assert_eq!(shown(&report), shown(&told.report));
        for (i, tensor) in model.iter_mut().enumerate() {
            let name = i.to_string();
            let saved = optimizer.saved(&name).unwrap();
            prop_assert_eq!(saved.step, case.step - 1 + u64::from(!told.skipped[i]));
            // State of a parameter that has never been stepped is still to be made.
            if saved.step > 0 {
                tensor.state = saved.state.map(|(_, values)| Padded::new(values, 0)).collect();
            } else {
                tensor.state.clone_from(&expected[i].state);
            }
        }
        assert_same(&model, &expected, || case.label());
        prop_assert!(model.iter().zip(&expected).all(|(a, b)| a.told == b.told));
    }
}

fn any_policy() -> impl Strategy<Value = NonFinite> {
    prop::sample::select(vec![NonFinite::Refuse, NonFinite::Skip, NonFinite::Step])
}

/// One that has come as far as the case, with the same state.
fn optimizer_for(case: &Case) -> Optimizer<AnyRule> {
    let mut optimizer = Optimizer::new(case.rule).unwrap();
    for (i, tensor) in case.model.iter().enumerate() {
        let name = i.to_string();
        optimizer.register(&name, tensor.len()).unwrap();
        let names = case.rule.slots().iter().map(|slot| slot.name);
        let state: Vec<(&str, &[f32])> = names.zip(tensor.state.iter().map(|slice| &**slice)).collect();
        let made_by = &StateKind::of(&case.rule).to_string();
        optimizer.load(&name, &Saved { made_by, step: case.step - 1, state: &state }).unwrap();
    }
    optimizer
}

/// Passes the parameters in another order than they were registered in.
fn optimizer_step(
    optimizer: &mut Optimizer<AnyRule>,
    case: &Case,
    model: &mut [Owned],
    told: &Told,
) -> PassReport {
    with_tensors(model, |tensors| {
        let param = |(i, tensor)| Param { id: optimizer.id(&usize::to_string(&i)).unwrap(), tensor };
        let mut params: Vec<_> = tensors.into_iter().enumerate().map(param).rev().collect();
        let report = optimizer.step_pass(&Workers::serial(), &case.parts.pass(), &mut params).unwrap();
        for (i, Param { tensor, .. }) in params.iter().enumerate() {
            assert_eq!((tensor.skipped(), tensor.non_finite()), (told.skipped[i], told.non_finite[i]));
        }
        report
    })
}

/// A scale that is too large for binary16 comes down until gradients fit, and goes up again.
#[test]
fn a_loss_scaler_finds_its_scale() {
    let mut scaler = LossScaler::new().from_scale(2.0_f64.powi(20)).unwrap().growth_interval(3);
    let mut params = [0.0_f32];
    let (mut scales, mut step) = (Vec::new(), 1);
    for _ in 0..9 {
        scales.push(scaler.scale().log2());
        let pass = Pass::new().check(NonFinite::Refuse).loss_scale(scaler.scale()).unwrap();
        // 2^15 is the largest power that binary16 has.
        let grads = Numbers::new(Some(Format::F16), &[0.25 * scaler.scale() as f32]);
        let tensor = Tensor::new(&mut params[..], Grads::Read(grads.read()), []).unwrap();
        let rule = Sgd::torch().lr(1.0).unwrap();
        let report = Workers::serial().step_pass(&pass, &rule, step, &mut [tensor]).unwrap();
        scaler.update(report.refused);
        step += u64::from(!report.refused);
    }
    assert_eq!(scales, [20.0, 19.0, 18.0, 17.0, 17.0, 17.0, 18.0, 17.0, 17.0]);
    assert_eq!(step, 6);
    assert_eq!(params, [-0.25 * 5.0]);
}
