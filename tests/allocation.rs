//! A step allocates nothing: counted by an allocator that counts.
//!
//! In a test binary of its own, with one test, so that no other thread allocates meanwhile.

mod common;

use std::alloc::System;

use common::{Buffers, Random};
use gradstep::{AnyRule, Backend, Optimizer, Param, Rayon, Rule, Tensor, Workers};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Of all threads.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(COUNTING);
    work();
    region.change().allocations
}

const STEPS: u64 = 200;

#[test]
fn a_step_allocates_nothing() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    // Starting a thread allocates, and so does asking the processor for the first time.
    pool.broadcast(|_| Backend::detect());
    let mut random = Random(1);
    for name in AnyRule::NAMES {
        let rule = AnyRule::named(name).unwrap();
        let shapes = [300_000, 3, 0, 40_000, 64, 64, 64];
        let mut model: Vec<_> = shapes.iter().map(|&len| Buffers::random(&rule, len, &mut random)).collect();
        pool.install(|| {
            assert_eq!(slice_steps(&rule, &mut model[0]), 0, "{name}: slices");
            assert_eq!(model_steps(&rule, &mut model), 0, "{name}: a list");
            assert_eq!(optimizer_steps(&rule, &mut model), 0, "{name}: the optimizer");
        });
    }
}

fn slice_steps(rule: &AnyRule, buffers: &mut Buffers) -> usize {
    let mut state: Vec<&mut [f32]> = buffers.state.iter_mut().map(Vec::as_mut_slice).collect();
    allocations(|| {
        for t in 1..STEPS {
            Backend::detect().step(rule, t, &mut buffers.params, &buffers.grads, &mut state).unwrap();
        }
    })
}

fn model_steps(rule: &AnyRule, model: &mut [Buffers]) -> usize {
    let workers = Workers::new(Rayon).serial_below(0);
    let mut tensors: Vec<_> = model
        .iter_mut()
        .map(|b| Tensor::new(&mut b.params, &b.grads, b.state.iter_mut().map(Vec::as_mut_slice)).unwrap())
        .collect();
    workers.step_model(rule, 1, &mut tensors).unwrap();
    allocations(|| (2..STEPS).for_each(|t| workers.step_model(rule, t, &mut tensors).unwrap()))
}

fn optimizer_steps(rule: &AnyRule, model: &mut [Buffers]) -> usize {
    let workers = Workers::new(Rayon).serial_below(0);
    let mut optimizer = Optimizer::new(*rule).unwrap();
    let ids: Vec<_> = model
        .iter()
        .enumerate()
        .map(|(i, b)| optimizer.register(&i.to_string(), b.params.len()).unwrap())
        .collect();
    assert_eq!(rule.state().len(), model[0].state.len());
    let mut list: Vec<_> = (ids.iter().zip(model))
        .map(|(&id, b)| Param { id, params: &mut b.params, grads: Some(&b.grads) })
        .collect();
    optimizer.step(&workers, &mut list).unwrap();
    allocations(|| {
        for _ in 2..STEPS {
            optimizer.step(&workers, &mut list).unwrap();
        }
    })
}
