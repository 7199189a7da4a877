//! Rules that look at whole tensors: the same bits on every backend, at any number of threads, for any cut-off and
//! alignment, and which tensors their sums go over. Their formulas are in `tests/accuracy`.

use gradstep::{AnyRule, Backend, DoG, Rule, Scope, Workers, full_slots};
use rayon::ThreadPoolBuilder;
use testkit::{Buffers, Random, bits_of_model, configurations_of, signed, slices, tensors, whole};

fn gradients(len: usize, random: &mut Random) -> Vec<f32> {
    (0..len).map(|i| if i % 10 == 3 { 0.0 } else { 10f32.powi(i as i32 % 4 - 2) * random.signed() }).collect()
}

#[test]
fn backends_and_alignment_change_no_bit() {
    for configuration in whole().flat_map(configurations_of) {
        let rule = configuration.rule;
        for len in [0, 1, 15, 257, 4095, 4097, 10_007] {
            let mut random = Random(5);
            let start = Buffers::random(&rule, len, &mut random);
            let mut scalar = start.clone();
            scalar.step(Backend::SCALAR, &rule, 2).unwrap();
            for backend in Backend::available() {
                let mut real = start.clone();
                // Shifted: the slices begin one element behind.
                let mut params = [&[0.0], &real.params[..]].concat();
                let state = &mut slices(&mut real.state);
                backend.step(&rule, 2, &mut params[1..], &real.grads, state).unwrap();
                real.params = params[1..].to_vec();
                assert_eq!(
                    scalar.bits(),
                    real.bits(),
                    "{} on {backend}, {len} elements",
                    configuration.label
                );
            }
        }
    }
}

#[test]
fn threads_and_cut_offs_change_no_bit() {
    for name in whole() {
        let rule = AnyRule::named(name).unwrap();
        let mut random = Random(9);
        let shapes = [70_000, 3, 0, 5000, 200_001];
        let start: Vec<Buffers> =
            shapes.iter().map(|&len| Buffers::random(&rule, len, &mut random)).collect();
        let mut serial = start.clone();
        Workers::serial().step_model(&rule, 3, &mut tensors(&mut serial)).unwrap();
        for threads in 1..4 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut shared = start.clone();
            let workers = Workers::rayon().serial_below(0);
            pool.install(|| workers.step_model(&rule, 3, &mut tensors(&mut shared))).unwrap();
            assert_eq!(bits_of_model(&serial), bits_of_model(&shared), "{name} on {threads} threads");
        }
    }
}

/// With a scope of its own, a tensor in a model is stepped as it would be alone; together, the norm is that of all.
#[test]
fn scopes() {
    let layerwise = AnyRule::DoG(DoG::optax().layerwise(true).unwrap());
    for rule in whole().map(|name| AnyRule::named(name).unwrap()).chain([layerwise]) {
        let mut random = Random(13);
        let new = |len, random: &mut Random| {
            let params = signed(len, random);
            Buffers::new(&rule, params, gradients(len, random))
        };
        let mut model = vec![new(300, &mut random), new(500, &mut random)];
        let mut alone = model.clone();
        for t in 1..=3 {
            Workers::serial().step_model(&rule, t, &mut tensors(&mut model)).unwrap();
            for tensor in &mut alone {
                tensor.step(Backend::detect(), &rule, t).unwrap();
            }
        }
        let same = model.iter().zip(&alone).all(|(a, b)| a.bits() == b.bits());
        let measures = rule.measures();
        let together = measures.is_some_and(|measures| measures.scope() == Scope::Together);
        assert_eq!(same, !together, "{rule:?}");
        let slices = full_slots(rule.slots());
        let equal = model[0].state[slices..] == model[1].state[slices..];
        let has_sums = measures.is_some_and(|measures| !measures.sums().is_empty());
        assert_eq!(equal, together || !has_sums, "{rule:?}");
    }
}

#[test]
fn a_scalar_has_one_element() {
    let rule = AnyRule::named("lamb").unwrap();
    let (mut p, mut m, mut v, mut wrong) = ([1.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
    let refusal = gradstep::step(&rule, 1, &mut p, &[1.0; 4], &mut [&mut m, &mut v, &mut wrong]).unwrap_err();
    assert_eq!(refusal, gradstep::Error::Length { slice: "trust_ratio", expected: 1, found: 4 });
    assert_eq!(p, [1.0; 4]);
}
