//! Every rule on every backend in every level of memory, against a plain loop.
//!
//! `cargo bench --bench step` runs all; a filter picks: `cargo bench --bench step -- adam/avx2`. Throughput is the least
//! traffic that a step needs: parameters and state read and written, gradients read.

mod plain;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gradstep::{AnyRule, Backend};
use testkit::{Buffers, models, slices};

/// Elements a slice: with Adam's four slices 16 KiB, 512 KiB, 16 MiB and 256 MiB in all.
const SIZES: [(&str, usize); 4] = [("L1", 1 << 10), ("L2", 1 << 15), ("L3", 1 << 20), ("DRAM", 1 << 24)];

struct Problem {
    buffers: Buffers,
    step: u64,
}

impl Problem {
    /// Runs one step. The step counter starts anew now and then: after too many, state would be subnormal. It starts from 2,
    /// since a first step looks at its state.
    fn run(&mut self, step: impl FnOnce(u64, &mut [f32], &[f32], &mut [&mut [f32]])) {
        self.step = self.step % 100 + 2;
        let Buffers { params, grads, state } = &mut self.buffers;
        step(self.step, params, grads, &mut slices(state));
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
            let mut problem = Problem { buffers: Buffers::waves(&rule, len), step: 1 };
            group.throughput(Throughput::Bytes(models::traffic(&rule, len)));
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
