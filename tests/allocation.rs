//! A step allocates nothing: counted by an allocator that counts.
//!
//! In a test binary of its own, with one test, so that no other thread allocates meanwhile.

use std::alloc::System;

use gradstep::{
    AnyRule, Average, Backend, FloatsMut, Format, Join, NonFinite, Optimizer, Param, Pass, Rayon, Rule,
    Serial, TelemetrySlot, Tensor, Workers,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use testkit::{Buffers, Random, slices, tensors};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Of all threads.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(COUNTING);
    work();
    region.change().allocations
}

const STEPS: u64 = 100;

#[test]
fn a_step_allocates_nothing() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    // Starting a thread allocates, and so does asking the processor for the first time.
    pool.broadcast(|_| Backend::detect());
    let mut random = Random(1);
    for name in AnyRule::NAMES {
        let rule = AnyRule::named(name).unwrap();
        let shapes = [60_000, 3, 0, 20_000, 64, 64, 64];
        let mut model: Vec<_> = shapes.iter().map(|&len| Buffers::random(&rule, len, &mut random)).collect();
        model[0].grads[0] = 2.0;
        pool.install(|| {
            assert_eq!(slice_steps(&rule, &mut model[0]), 0, "{name}: slices");
            assert_eq!(model_steps(&rule, &mut model), 0, "{name}: a list");
            assert_eq!(optimizer_steps(&rule, &mut model), 0, "{name}: the optimizer");
            assert_eq!(pass_steps(Serial, &rule, &mut model), 0, "{name}: a pass on one thread");
            assert_eq!(pass_steps(Rayon, &rule, &mut model), 0, "{name}: a pass");
            assert_eq!(
                optimizer_passes(Serial, &rule, &mut model),
                0,
                "{name}: the optimizer's on one thread"
            );
            assert_eq!(optimizer_passes(Rayon, &rule, &mut model), 0, "{name}: the optimizer's pass");
        });
    }
}

fn slice_steps(rule: &AnyRule, buffers: &mut Buffers) -> usize {
    let mut state = slices(&mut buffers.state);
    allocations(|| {
        for t in 2..=STEPS {
            Backend::detect().step(rule, t, &mut buffers.params, &buffers.grads, &mut state).unwrap();
        }
    })
}

fn model_steps(rule: &AnyRule, model: &mut [Buffers]) -> usize {
    let workers = Workers::new(Rayon).serial_below(0);
    let mut tensors = tensors(model);
    workers.step_model(rule, 2, &mut tensors).unwrap();
    allocations(|| (3..STEPS).for_each(|t| workers.step_model(rule, t, &mut tensors).unwrap()))
}

fn optimizer_steps(rule: &AnyRule, model: &mut [Buffers]) -> usize {
    let workers = Workers::new(Rayon).serial_below(0);
    let mut optimizer = Optimizer::new(*rule).unwrap();
    let ids: Vec<_> = model
        .iter()
        .enumerate()
        .map(|(i, b)| optimizer.register(&i.to_string(), b.params.len()).unwrap())
        .collect();
    assert_eq!(rule.slots().len(), model[0].state.len());
    let mut list: Vec<_> =
        (ids.iter().zip(model)).map(|(&id, b)| Param::new(id, &mut b.params, &b.grads)).collect();
    optimizer.step(&workers, &mut list).unwrap();
    allocations(|| {
        for _ in 2..STEPS {
            optimizer.step(&workers, &mut list).unwrap();
        }
    })
}

/// Of a pass with parts before, in and after the rule. Every fifth is refused: a gradient of 2 is then infinite.
fn pass_of_step(step: u64) -> Pass {
    let pass = Pass::new().loss_scale(if step.is_multiple_of(5) { 3e-39 } else { 1.0 }).unwrap();
    let pass = pass.check(NonFinite::Refuse).centralize().clip_global_norm(1.0).unwrap();
    let pass = pass.flush_subnormals().max_norm(10.0).unwrap().bounds(-5.0, 5.0).unwrap();
    pass.average(Average::mean())
}

/// What a pass keeps beside the slices of a step.
struct Beside {
    average: Vec<f32>,
    averaged: u64,
    copy: Vec<u16>,
    slot: TelemetrySlot,
}

impl Beside {
    fn of(model: &[Buffers]) -> Vec<Self> {
        let lens = model.iter().map(|buffers| buffers.params.len());
        lens.map(|len| Self {
            average: vec![0.0; len],
            averaged: 0,
            copy: vec![0; len],
            slot: TelemetrySlot::default(),
        })
        .collect()
    }

    fn with<'a>(&'a mut self, tensor: Tensor<'a>) -> Tensor<'a> {
        tensor
            .average(&mut self.average, &mut self.averaged)
            .copy_out(FloatsMut::Half(Format::Bf16, &mut self.copy))
            .telemetry(&self.slot)
            .rows(1)
    }
}

const PASSES: u64 = 7;

fn pass_steps(join: impl Join, rule: &AnyRule, model: &mut [Buffers]) -> usize {
    let (workers, mut beside) = (Workers::new(join).serial_below(0), Beside::of(model));
    let tensors = model.iter_mut().zip(&mut beside);
    let mut tensors: Vec<_> = tensors.map(|(buffers, beside)| beside.with(buffers.pass_tensor())).collect();
    allocations(|| {
        for t in 2..PASSES {
            let report = workers.step_pass(&pass_of_step(t), rule, t, &mut tensors).unwrap();
            assert_eq!(report.refused, t.is_multiple_of(5));
        }
    })
}

fn optimizer_passes(join: impl Join, rule: &AnyRule, model: &mut [Buffers]) -> usize {
    let (workers, mut beside) = (Workers::new(join).serial_below(0), Beside::of(model));
    let mut optimizer = Optimizer::new(*rule).unwrap();
    let mut list: Vec<_> = (model.iter_mut().zip(&mut beside).enumerate())
        .map(|(i, (b, beside))| {
            let id = optimizer.register(&i.to_string(), b.params.len()).unwrap();
            let tensor = Tensor::new(&mut b.params[..], &b.grads[..], []).unwrap();
            Param { id, tensor: beside.with(tensor) }
        })
        .collect();
    let _ = optimizer.step_pass(&workers, &pass_of_step(1), &mut list).unwrap();
    allocations(|| {
        for t in 2..PASSES {
            let _ = optimizer.step_pass(&workers, &pass_of_step(t), &mut list).unwrap();
        }
    })
}
