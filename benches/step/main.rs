//! Every rule on every backend in every level of memory, against a plain loop.
//!
//! `cargo bench --bench step` runs all; a filter picks: `cargo bench --bench step -- adam/avx2`. Throughput is the least
//! traffic that a step needs: parameters and state read and written, gradients read.

mod plain;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gradstep::{AnyRule, Backend, Rule, init_state};

/// Elements a slice: with Adam's four slices 16 KiB, 512 KiB, 16 MiB and 256 MiB in all.
const SIZES: [(&str, usize); 4] = [("L1", 1 << 10), ("L2", 1 << 15), ("L3", 1 << 20), ("DRAM", 1 << 24)];

struct Problem {
    params: Vec<f32>,
    grads: Vec<f32>,
    state: Vec<Vec<f32>>,
    step: u64,
}

impl Problem {
    fn new(rule: &AnyRule, len: usize) -> Self {
        let wave = |i: usize| (i % 1000) as f32 / 1000.0 - 0.5;
        let mut problem = Self {
            params: (0..len).map(wave).collect(),
            grads: (0..len).map(|i| wave(7 * i)).collect(),
            state: (0..rule.state().len()).map(|slot| vec![0.0; rule.state_len(slot, len)]).collect(),
            step: 0,
        };
        init_state(rule, &mut problem.slices().2).expect("one slice for each name");
        problem
    }

    /// The least number of bytes that a step moves.
    fn traffic(&self) -> u64 {
        (size_of::<f32>() * self.params.len() * (3 + 2 * self.state.len())) as u64
    }

    fn slices(&mut self) -> (&mut [f32], &[f32], Vec<&mut [f32]>) {
        (&mut self.params, &self.grads, self.state.iter_mut().map(Vec::as_mut_slice).collect())
    }

    /// Runs one step. The step counter starts anew now and then: after too many, state would be subnormal.
    fn run(&mut self, step: impl FnOnce(u64, &mut [f32], &[f32], &mut [&mut [f32]])) {
        self.step = self.step % 100 + 1;
        let t = self.step;
        let (params, grads, mut state) = self.slices();
        step(t, params, grads, &mut state);
    }
}

fn steps(criterion: &mut Criterion) {
    for name in AnyRule::NAMES {
        let rule = AnyRule::named(name).expect("a registered name");
        let mut group = criterion.benchmark_group(*name);
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(600));
        for (level, len) in SIZES {
            let mut problem = Problem::new(&rule, len);
            group.throughput(Throughput::Bytes(problem.traffic()));
            if let Some(plain) = plain::step(name) {
                group.bench_function(BenchmarkId::new("plain loop", level), |bencher| {
                    bencher.iter(|| problem.run(plain));
                });
            }
            for backend in Backend::available() {
                group.bench_function(BenchmarkId::new(backend.name(), level), |bencher| {
                    bencher.iter(|| {
                        problem.run(|t, p, g, s| backend.step(&rule, t, p, g, s).expect("valid slices"))
                    });
                });
            }
            group.bench_function(BenchmarkId::new("all threads", level), |bencher| {
                bencher.iter(|| {
                    problem.run(|t, p, g, s| gradstep::par_step(&rule, t, p, g, s).expect("valid slices"));
                });
            });
        }
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
