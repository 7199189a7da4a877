//! Whole models, and one tensor of every size, on one thread and on two.
//!
//! `cargo bench --bench model` runs all; a filter picks: `cargo bench --bench model -- gpt2`. Throughput is the least
//! traffic that a step needs.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gradstep::{AnyRule, Rule as _, Workers};
use testkit::{models, tensors};

fn bench(criterion: &mut Criterion, group: &str, rule: &AnyRule, shapes: &[usize]) {
    let mut group = criterion.benchmark_group(group);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    let mut model = models::waves(rule, shapes);
    group.throughput(Throughput::Bytes(models::traffic(rule, shapes.iter().sum())));
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let workers = Workers::new(&pool);
        group.bench_function(BenchmarkId::new(rule.name(), format!("{threads} threads")), |bencher| {
            let mut tensors = tensors(&mut model);
            // Always the same step: its number costs nothing, and the state stays where it settles.
            bencher.iter(|| workers.step_model(rule, 10, &mut tensors));
        });
    }
}

/// Sizes from 1 K to 64 M elements.
fn one_tensor(criterion: &mut Criterion) {
    for exponent in (10..=26).step_by(2) {
        for name in AnyRule::NAMES {
            let rule = AnyRule::named(name).expect("a registered name");
            bench(criterion, &format!("one tensor of {}", size(1 << exponent)), &rule, &[1 << exponent]);
        }
    }
}

fn size(elements: usize) -> String {
    if elements >= 1 << 20 { format!("{} M", elements >> 20) } else { format!("{} K", elements >> 10) }
}

fn lists(criterion: &mut Criterion) {
    for (list, shapes) in [
        ("500 tensors of 64", models::tiny()),
        ("40 layers of 256x256 and 256", models::perceptron()),
        ("gpt2 124 M", models::gpt2()),
        ("resnet50", models::resnet50()),
    ] {
        for name in AnyRule::NAMES {
            let rule = AnyRule::named(name).expect("a registered name");
            bench(criterion, list, &rule, &shapes);
        }
    }
}

criterion_group!(benches, lists, one_tensor);
criterion_main!(benches);
