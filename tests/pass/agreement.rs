//! The pass and its naive twin agree bit for bit, and so do all backends, threads, alignments and orders.

use gradstep::{AnyRule, Backend, Join, NonFinite, Pass, PassReport, Tensor, Workers};
use proptest::prelude::*;
use testkit::{Random, configurations_of};

use crate::{
    cases::{Case, any_len, shown},
    model::{Outcome, Owned, assert_same, outcome, with_tensors},
    parts::Parts,
    twin::{self, Known},
};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The model after the step, with the report and the norms that were found.
fn run(case: &Case, workers: &Workers<impl Join>) -> (Vec<Owned>, PassReport, Known) {
    let mut model = case.model.clone();
    let (report, norms) = case.run(workers, &mut model, |report, tensors| {
        (*report, tensors.iter().map(|tensor| tensor.sums().norm()).collect())
    });
    (model, report, Known { norms, global: report.grad_norm.unwrap_or_default() })
}

fn nearly(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-14 * b.abs()
}

fn agrees_with_twin(case: &Case) {
    let (stepped, report, known) = run(case, &Workers::serial());
    let mut expected = case.model.clone();
    let verdict = twin::step(&case.parts, &case.rule, case.step, &mut expected, &known);
    assert_same(&stepped, &expected, || case.label());

    let taken = |i: &usize| !verdict.skipped[*i];
    let count = (0..case.model.len()).filter(taken).count();
    let elements = (0..case.model.len()).filter(taken).map(|i| case.model[i].len()).sum::<usize>();
    assert_eq!((report.refused, report.stepped, report.elements), (verdict.refused, count, elements));
    assert_eq!(report.skipped, case.model.len() - count);
    assert_eq!(report.non_finite, verdict.non_finite.iter().sum::<u64>());
    norms_agree(case, &report, &known);
}

/// With the naive sums; the common norm is that of the tensors that are not left out.
fn norms_agree(case: &Case, report: &PassReport, known: &Known) {
    assert_eq!(report.grad_norm.is_some(), twin::looks(&case.parts, &case.model), "{}", case.label());
    let Some(global) = report.grad_norm else { return };
    let verdict = twin::verdict(&case.parts, &case.model);
    let mut squares = 0.0;
    for (i, tensor) in case.model.iter().enumerate() {
        let norm = twin::norm(&twin::prepared(&case.parts, tensor));
        assert!(nearly(known.norms[i], norm), "tensor {i}: {}", case.label());
        let left_out = case.parts.check == Some(NonFinite::Skip) && verdict.skipped[i];
        squares += if left_out { 0.0 } else { norm * norm };
    }
    assert!(nearly(global, squares.sqrt()), "{}", case.label());
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn with_the_twin(seed: u64) {
        agrees_with_twin(&Case::random(&mut Random(seed), any_len));
    }

    #[test]
    fn with_the_twin_where_gradients_are_not_finite(seed: u64) {
        let mut random = Random(seed);
        let mut case = Case::random(&mut random, any_len);
        case.poison(&mut random);
        agrees_with_twin(&case);
    }
}

/// Some tensors are large enough to be cut.
fn shared_len(random: &mut Random) -> usize {
    match random.below(4) {
        0 => 30_000 + random.below(60_000),
        1 => 4096 * (6 + random.below(10)),
        _ => any_len(random),
    }
}

/// All that can be seen of a step.
fn seen(case: &Case, workers: &Workers<impl Join>) -> (Vec<Outcome>, String) {
    let (model, report, _) = run(case, workers);
    (outcome(&model), shown(&report))
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn whoever_works_on_it(seed: u64, poisoned: bool) {
        let mut random = Random(seed);
        let mut case = Case::random(&mut random, shared_len);
        if poisoned {
            case.poison(&mut random);
        }
        let expected = seen(&case, &Workers::serial().backend(Backend::SCALAR));
        for threads in 1..=3 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for backend in Backend::available() {
                let found = seen(&case, &Workers::new(&pool).backend(backend).serial_below(0));
                prop_assert!(found == expected, "{} {}: {}", threads, backend, case.label());
            }
        }
    }

    #[test]
    fn wherever_it_lies(seed: u64) {
        let case = Case::random(&mut Random(seed), any_len);
        let expected = seen(&case, &Workers::serial().backend(Backend::SCALAR));
        for pad in 0..4 {
            let shifted = Case { model: case.model.iter().map(|t| t.shifted(pad)).collect(), ..case.clone() };
            for backend in Backend::available() {
                let found = seen(&shifted, &Workers::serial().backend(backend));
                prop_assert!(found == expected, "{} {}: {}", pad, backend, case.label());
            }
        }
    }

    #[test]
    fn in_whatever_order(seed: u64) {
        let mut case = Case::random(&mut Random(seed), shared_len);
        let expected = seen(&case, &Workers::serial());
        case.model.reverse();
        let (mut outcome, report) = seen(&case, &Workers::rayon().serial_below(0));
        outcome.reverse();
        prop_assert!((outcome, report) == expected, "{}", case.label());
    }
}

/// A pass without parts is a plain step.
#[test]
fn nothing_costs_nothing() {
    let mut random = Random(3);
    for rule in AnyRule::NAMES.iter().flat_map(|name| configurations_of(name)) {
        let lens = [37, 0, 1, 1500];
        let mut model: Vec<_> =
            lens.iter().map(|&len| Owned::random(&Parts::NONE, &rule.rule, len, &mut random)).collect();
        for tensor in &mut model {
            let (params, grads) = (tensor.params.values(), tensor.grads.values());
            let state = tensor.state.clone();
            *tensor = Owned { state, told: tensor.told, ..Owned::plain(&rule.rule, &params, &grads) };
        }
        let plain = plain_step(&rule.rule, &model);
        let _ = with_tensors(&mut model, |mut tensors| {
            Workers::serial().step_pass(&Pass::new(), &rule.rule, 2, &mut tensors)
        })
        .unwrap();
        assert_same(&model, &plain, || rule.label.clone());
    }
}

fn plain_step(rule: &AnyRule, model: &[Owned]) -> Vec<Owned> {
    let mut model = model.to_vec();
    let mut params: Vec<_> = model.iter().map(|tensor| tensor.params.values()).collect();
    let grads: Vec<_> = model.iter().map(|tensor| tensor.grads.values()).collect();
    let mut tensors: Vec<_> = (model.iter_mut().zip(&mut params).zip(&grads))
        .map(|((tensor, params), grads)| {
            Tensor::new(params, grads, tensor.state.iter_mut().map(|slice| &mut **slice)).unwrap()
        })
        .collect();
    Workers::serial().step_model(rule, 2, &mut tensors).unwrap();
    for (tensor, params) in model.iter_mut().zip(&params) {
        tensor.params.set_all(params);
    }
    model
}
