//! Every rule in every configuration, on every backend of this machine, at every length and alignment: the bits of the
//! scalar meaning, and not one element beyond the slices.

use std::{io::Write as _, ops::RangeInclusive};

use gradstep::{Backend, Rule};
use testkit::{Buffers, Configuration, Random, awkward, configurations, twin};

/// Stands before and after every slice; a pattern that no rule computes.
const SENTINEL: f32 = f32::from_bits(0x7fc5_1234);

/// Enough before a slice to shift it through every alignment of a register, and as much behind.
const MARGIN: usize = 20;

/// Copies `values` between sentinels, `offset` elements from the start of an allocation.
fn framed(values: &[f32], offset: usize) -> Vec<f32> {
    let mut frame = vec![SENTINEL; offset + values.len() + MARGIN];
    frame[offset..][..values.len()].copy_from_slice(values);
    frame
}

/// Takes the middle out again, after a look at the frame.
fn unframed(frame: &[f32], offset: usize, len: usize, label: &str) -> Vec<f32> {
    let outside = frame[..offset].iter().chain(&frame[offset + len..]);
    assert!(
        outside.into_iter().all(|x| x.to_bits() == SENTINEL.to_bits()),
        "{label}: wrote outside its slice"
    );
    frame[offset..][..len].to_vec()
}

/// One step on slices that start at different offsets.
fn framed_step(
    backend: Backend,
    rule: &impl Rule,
    t: u64,
    before: &Buffers,
    offset: usize,
    label: &str,
) -> Buffers {
    let len = before.params.len();
    let offset_of = |slot: usize| (offset + 3 * slot) % MARGIN;
    let mut params = framed(&before.params, offset);
    let grads = framed(&before.grads, offset_of(1));
    let mut state: Vec<_> =
        before.state.iter().enumerate().map(|(slot, x)| framed(x, offset_of(2 + slot))).collect();
    let mut slices: Vec<_> =
        state.iter_mut().enumerate().map(|(slot, x)| &mut x[offset_of(2 + slot)..][..len]).collect();
    backend
        .step(rule, t, &mut params[offset..][..len], &grads[offset_of(1)..][..len], &mut slices)
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    Buffers {
        params: unframed(&params, offset, len, label),
        grads: unframed(&grads, offset_of(1), len, label),
        state: state
            .iter()
            .enumerate()
            .map(|(slot, x)| unframed(x, offset_of(2 + slot), len, label))
            .collect(),
    }
}

/// Two first steps against the naive twin.
fn compare_first_steps(configuration: &Configuration, backend: Backend, start: &Buffers, offset: usize) {
    let fresh = Buffers::new(&configuration.rule, start.params.clone(), start.grads.clone());
    compare_steps(configuration, backend, &fresh, offset, 1..=2);
}

/// Two later steps, from state of any kind.
fn compare(configuration: &Configuration, backend: Backend, start: &Buffers, offset: usize) {
    compare_steps(configuration, backend, start, offset, 2..=3);
}

fn compare_steps(
    configuration: &Configuration,
    backend: Backend,
    start: &Buffers,
    offset: usize,
    steps: RangeInclusive<u64>,
) {
    let Configuration { label, rule } = configuration;
    let (mut naive, mut real) = (start.clone(), start.clone());
    for t in steps {
        let label =
            format!("{label} on {backend}, {} elements at offset {offset}, step {t}", start.params.len());
        twin::step(rule, t, &mut naive);
        real = framed_step(backend, rule, t, &real, offset, &label);
        assert_eq!(naive.bits(), real.bits(), "{label}");
    }
}

fn for_each_backend(test: impl Fn(Backend)) {
    for name in Backend::NAMES {
        match Backend::named(name) {
            Ok(backend) => test(backend),
            // Written past the test runner's capture, so that it is seen when the test passes.
            Err(why) => drop(writeln!(std::io::stderr(), "conformance: NOT RUN on {name}: {why}")),
        }
    }
}

#[test]
fn every_length_and_alignment() {
    let configurations = configurations();
    for_each_backend(|backend| {
        let mut random = Random(2);
        for configuration in &configurations {
            for len in 0..=4 * backend.lanes() + 3 {
                let start = Buffers::random(&configuration.rule, len, &mut random);
                for offset in [0, 1, 2, 3, 7, 16] {
                    compare(configuration, backend, &start, offset);
                }
                compare_first_steps(configuration, backend, &start, len % MARGIN);
            }
        }
    });
}

#[test]
fn awkward_values() {
    let configurations = configurations();
    for_each_backend(|backend| {
        let mut random = Random(3);
        for configuration in &configurations {
            for len in [1, 5, 17, 131] {
                let mut start = Buffers::random(&configuration.rule, len, &mut random);
                start.params = awkward(len, &mut random);
                start.grads = awkward(len, &mut random);
                for slice in &mut start.state {
                    *slice = awkward(len, &mut random);
                }
                compare(configuration, backend, &start, 1);
                compare_first_steps(configuration, backend, &start, 1);
            }
        }
    });
}

/// Around the length from which the loop aligns itself, and long enough for it to run thousands of times, with a tail
/// everywhere.
#[test]
fn long_slices() {
    let configurations = configurations();
    for_each_backend(|backend| {
        let mut random = Random(4);
        for (i, configuration) in configurations.iter().enumerate() {
            for len in [255, 256, 257, 1031, 5003] {
                let start = Buffers::random(&configuration.rule, len, &mut random);
                compare(configuration, backend, &start, (i + len) % 17);
            }
        }
    });
}

/// A NaN, or an infinity, in one gradient changes nothing in any other element.
#[test]
fn poison_stays_in_its_element() {
    for_each_backend(|backend| {
        let mut random = Random(5);
        for Configuration { label, rule } in configurations() {
            for poison in [f32::NAN, f32::INFINITY] {
                let mut clean = Buffers::random(&rule, 67, &mut random);
                let place = random.below(67);
                clean.grads[place] = 0.0;
                let mut poisoned = clean.clone();
                poisoned.grads[place] = poison;
                clean.step(backend, &rule, 2).unwrap();
                poisoned.step(backend, &rule, 2).unwrap();
                for slice in 0..=clean.state.len() {
                    let differing = (clean.bits().iter().zip(poisoned.bits()).skip(67 * slice).take(67))
                        .enumerate()
                        .filter(|(i, (a, b))| *i != place && **a != *b)
                        .count();
                    assert_eq!(differing, 0, "{label} on {backend}");
                }
            }
        }
    });
}
