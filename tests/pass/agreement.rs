//! The pass and its naive twin agree bit for bit, and so do all backends, threads, alignments and orders.

use gradstep::{AnyRule, Backend, Join, Pass, Scope, Tensor, Workers};
use gradstep::{PassReport, Rule as _};
use proptest::prelude::*;

use crate::{
    cases::{Case, any_len},
    common::{Random, configurations_of},
    model::{Owned, assert_same, outcome, with_tensors},
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
    a == b || (a - b).abs() <= 1e-14 * b.abs()
}

/// Those of all gradients, by the naive sum.
fn naive_norms(case: &Case) -> Vec<f64> {
    case.model.iter().map(|tensor| twin::norm(&twin::prepared(&case.parts, tensor))).collect()
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

fn norms_agree(case: &Case, report: &PassReport, known: &Known) {
    assert_eq!(report.grad_norm.is_some(), twin::looks(&case.parts, &case.model), "{}", case.label());
    let Some(global) = report.grad_norm else { return };
    let naive = naive_norms(case);
    assert!(known.norms.iter().zip(&naive).all(|(a, b)| nearly(*a, *b)), "{}", case.label());
    assert!(nearly(global, naive.iter().map(|norm| norm * norm).sum::<f64>().sqrt()), "{}", case.label());
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn with_the_twin(seed: u64) {
        agrees_with_twin(&Case::random(&mut Random(seed), any_len));
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

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn whoever_works_on_it(seed: u64) {
        let case = Case::random(&mut Random(seed), shared_len);
        let (expected, report, _) = run(&case, &Workers::serial().backend(Backend::SCALAR));
        let expected = (outcome(&expected), report);
        for threads in 1..=3 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for backend in Backend::available() {
                let (model, report, _) = run(&case, &Workers::new(&pool).backend(backend).serial_below(0));
                prop_assert!((outcome(&model), report) == expected, "{} {}: {}", threads, backend, case.label());
            }
        }
    }

    #[test]
    fn wherever_it_lies(seed: u64) {
        let case = Case::random(&mut Random(seed), any_len);
        let (expected, report, _) = run(&case, &Workers::serial().backend(Backend::SCALAR));
        let expected = (outcome(&expected), report);
        for pad in 0..4 {
            let shifted = Case { model: case.model.iter().map(|t| t.shifted(pad)).collect(), ..case.clone() };
            for backend in Backend::available() {
                let (model, report, _) = run(&shifted, &Workers::serial().backend(backend));
                prop_assert!((outcome(&model), report) == expected, "{} {}: {}", pad, backend, case.label());
            }
        }
    }

    /// Rules that sum over all tensors take the scalars of the first, and so are left out.
    #[test]
    fn in_whatever_order(seed: u64) {
        let case = Case::random(&mut Random(seed), shared_len);
        prop_assume!(case.rule.scope() == Scope::Tensor);
        let (expected, report, _) = run(&case, &Workers::serial());
        let reversed = Case { model: case.model.iter().rev().cloned().collect(), ..case.clone() };
        let (mut model, other_report, _) = run(&reversed, &Workers::rayon().serial_below(0));
        model.reverse();
        prop_assert!((outcome(&model), other_report) == (outcome(&expected), report), "{}", case.label());
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
        with_tensors(&mut model, |tensors| Workers::serial().step_pass(&Pass::new(), &rule.rule, 2, tensors))
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
