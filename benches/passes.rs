//! What a pass saves, and what its parts cost: the two sides of a pair take turns in one process, and the median of the
//! ratios is given with its spread. `cargo bench --bench passes`; a filter picks lines: `cargo bench --bench passes -- fused`.

mod pairs;

use std::{env, hint::black_box};

use gradstep::{
    AdamW, AnyRule, Average, Floats, FloatsMut, Format, Join, NonFinite, Pass, Telemetry, TelemetrySlot,
    Tensor, Workers,
};
use pairs::{pair, report};
use rayon::prelude::*;
use testkit::wave;

/// Out of all caches.
const LARGE: usize = 1 << 24;

/// Within a core's own.
const MIDDLE: usize = 1 << 14;

/// Within the nearest one.
const SMALL: usize = 1 << 11;

/// How many elements a thread takes at once in the loops of this file.
const CHUNK: usize = 1 << 16;

/// What is measured, and how.
type Line = (&'static str, fn(&str));

fn main() {
    pairs::header("AdamW; time of the first over the second");
    let wanted: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let lines: [Line; 9] = [
        ("fused / separate passes, 16 M, all threads", fused_against_separate),
        ("fused / same bytes (38 each), 16 M, all threads", fused_against_bytes),
        ("telemetry on / off, 16 M, all threads", telemetry),
        ("EMA: added time / time of its bytes, 16 M, all threads", average),
        ("with EMA / same bytes (36 each), 16 M, all threads", average_against_bytes),
        ("empty pass / plain step, 16 M, all threads", empty_pass),
        ("flush on / off, subnormal state, 16 K, one thread", flush_after_rest),
        ("flush on / off, normal state, 16 K, one thread", flush_in_motion),
        ("in cache (2048 elements, one thread): step with the part / without", in_cache),
    ];
    for (what, measure) in lines {
        if wanted.is_empty() || wanted.iter().any(|word| what.contains(word.as_str())) {
            measure(what);
        }
    }
}

/// Everything that mixed-precision training keeps for a tensor.
struct Buffers {
    params: Vec<f32>,
    grads: Vec<f32>,
    exp_avg: Vec<f32>,
    exp_avg_sq: Vec<f32>,
    average: Vec<f32>,
    averaged: u64,
    copy: Vec<u16>,
}

impl Buffers {
    fn new(len: usize) -> Self {
        Self {
            params: (0..len).map(wave).collect(),
            grads: (0..len).map(|i| wave(7 * i)).collect(),
            exp_avg: vec![0.01; len],
            exp_avg_sq: vec![0.01; len],
            average: (0..len).map(wave).collect(),
            averaged: 9,
            copy: vec![0; len],
        }
    }

    fn plain(&mut self) -> Tensor<'_> {
        let state = [&mut self.exp_avg[..], &mut self.exp_avg_sq[..]];
        Tensor::new(&mut self.params, &self.grads, state).expect("two state slices")
    }

    fn bare(&mut self) -> Tensor<'_> {
        let state = [&mut self.exp_avg[..], &mut self.exp_avg_sq[..]];
        Tensor::new(&mut self.params[..], &mut self.grads[..], state).expect("two state slices")
    }

    fn with_copy(&mut self) -> Tensor<'_> {
        let state = [&mut self.exp_avg[..], &mut self.exp_avg_sq[..]];
        let tensor = Tensor::new(&mut self.params[..], &mut self.grads[..], state);
        tensor.expect("two state slices").copy_out(FloatsMut::Half(Format::Bf16, &mut self.copy))
    }

    fn with_average(&mut self) -> Tensor<'_> {
        let state = [&mut self.exp_avg[..], &mut self.exp_avg_sq[..]];
        let tensor = Tensor::new(&mut self.params[..], &mut self.grads[..], state);
        tensor.expect("two state slices").average(&mut self.average, &mut self.averaged)
    }
}

fn rule() -> AnyRule {
    AnyRule::AdamW(AdamW::torch())
}

fn step<J: Join>(workers: &Workers<J>, pass: &Pass, tensor: Tensor<'_>) {
    let _ = workers.step_pass(pass, &rule(), 10, &mut [tensor]).expect("valid slices");
}

/// Unscaling, check, clipping by the global norm, the step, zeroed gradients and a bf16 copy.
fn usual() -> Pass {
    let pass = Pass::new().loss_scale(1.0 / 1.0001).and_then(|pass| pass.clip_global_norm(1e-3));
    pass.expect("valid options").check(NonFinite::Refuse).zero_grads()
}

fn fused_against_separate(what: &str) {
    let (mut one, mut other) = (Buffers::new(LARGE), Buffers::new(LARGE));
    let workers = Workers::rayon();
    report(what, pair(|| step(&workers, &usual(), one.with_copy()), || separate(&mut other)));
}

/// The same, one part after the other, each with all threads and at the speed of memory.
fn separate(buffers: &mut Buffers) {
    let workers = Workers::rayon();
    scale(&mut buffers.grads, 1.0001);
    let pass = Pass::new().check(NonFinite::Refuse);
    for _check_then_norm in 0..2 {
        let mut tensors = [buffers.bare()];
        workers.measure_pass(&pass, &rule(), 10, &mut tensors).expect("valid slices");
        black_box(tensors[0].sums().norm());
    }
    scale(&mut buffers.grads, 1e-3);
    workers.step_model(&rule(), 10, &mut [buffers.plain()]).expect("valid slices");
    buffers.grads.par_chunks_mut(CHUNK).for_each(|grads| grads.fill(0.0));
    let chunks = buffers.copy.par_chunks_mut(CHUNK).zip(buffers.params.par_chunks(CHUNK));
    chunks.for_each(|(copy, params)| {
        copy.iter_mut().zip(params).for_each(|(copy, p)| *copy = (p.to_bits() >> 16) as u16);
    });
}

fn scale(grads: &mut [f32], factor: f32) {
    grads.par_chunks_mut(CHUNK).for_each(|grads| grads.iter_mut().for_each(|g| *g *= factor));
}

fn fused_against_bytes(what: &str) {
    let (mut one, mut other) = (Buffers::new(LARGE), Buffers::new(LARGE));
    let workers = Workers::rayon();
    report(what, pair(|| step(&workers, &usual(), one.with_copy()), || same_bytes(&mut other)));
}

/// Moves what the fused pass must move, and computes next to nothing.
fn same_bytes(buffers: &mut Buffers) {
    let read = |grads: &[f32]| grads.chunks(16).fold(0, |sum, chunk| sum ^ chunk[0].to_bits());
    black_box(buffers.grads.par_chunks(CHUNK).map(read).reduce(|| 0, |a, b| a ^ b));
    let chunks = buffers.params.par_chunks_mut(CHUNK).zip(buffers.grads.par_chunks_mut(CHUNK));
    let chunks = chunks.zip(buffers.exp_avg.par_chunks_mut(CHUNK));
    let chunks = chunks.zip(buffers.exp_avg_sq.par_chunks_mut(CHUNK));
    chunks.zip(buffers.copy.par_chunks_mut(CHUNK)).for_each(|((((p, g), m), v), copy)| {
        let rest = m.iter_mut().zip(v).zip(copy);
        for ((p, g), ((m, v), copy)) in p.iter_mut().zip(g).zip(rest) {
            (*p, *m, *v) = (*p + *g, *m + *g, *v + *g);
            *g = 0.0;
            *copy = (p.to_bits() >> 16) as u16;
        }
    });
}

fn telemetry(what: &str) {
    let (mut one, mut other) = (Buffers::new(LARGE), Buffers::new(LARGE));
    let (workers, slot) = (Workers::rayon(), TelemetrySlot::default());
    let pair = pair(
        || step(&workers, &usual(), one.with_copy().telemetry(&slot)),
        || step(&workers, &usual(), other.with_copy()),
    );
    report(what, pair);
    assert_ne!(slot.get(), Telemetry::default());
}

/// The average is 8 bytes more beside the 38 of the rest.
fn average(what: &str) {
    let (mut one, mut other) = (Buffers::new(LARGE), Buffers::new(LARGE));
    let workers = Workers::rayon();
    let averaged = Pass::new().average(Average::exponential(0.999).expect("a decay"));
    let ratios =
        pair(|| step(&workers, &averaged, one.with_average()), || step(&workers, &Pass::new(), other.bare()));
    let added = ratios.into_iter().map(|ratio| (ratio - 1.0) / (8.0 / 28.0)).collect();
    report(what, added);
}

fn average_against_bytes(what: &str) {
    let (mut one, mut other) = (Buffers::new(LARGE), Buffers::new(LARGE));
    let workers = Workers::rayon();
    let averaged = Pass::new().average(Average::exponential(0.999).expect("a decay"));
    let bytes = || {
        let chunks = other.params.par_chunks_mut(CHUNK).zip(other.grads.par_chunks(CHUNK));
        let chunks = chunks.zip(other.exp_avg.par_chunks_mut(CHUNK));
        let chunks = chunks.zip(other.exp_avg_sq.par_chunks_mut(CHUNK));
        chunks.zip(other.average.par_chunks_mut(CHUNK)).for_each(|((((p, g), m), v), average)| {
            for ((p, g), ((m, v), average)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(v).zip(average)) {
                (*p, *m, *v) = (*p + *g, *m + *g, *v + *g);
                *average += *p;
            }
        });
    };
    report(what, pair(|| step(&workers, &averaged, one.with_average()), bytes));
}

fn empty_pass(what: &str) {
    let (mut one, mut other) = (Buffers::new(LARGE), Buffers::new(LARGE));
    let workers = Workers::rayon();
    let pair = pair(
        || step(&workers, &Pass::new(), one.bare()),
        || workers.step_model(&rule(), 10, &mut [other.plain()]).expect("valid slices"),
    );
    report(what, pair);
}

/// Gradients have been 0 for long, and stay so. Then one side is at subnormal numbers for ever; for the other, which makes
/// them 0 in its first step, that is over.
fn flush_after_rest(what: &str) {
    let (mut one, mut other) = (rested(), rested());
    flush_against_none(what, &mut one, &mut other);
    assert!(one.exp_avg.iter().all(|m| *m == 0.0) && other.exp_avg.iter().all(|m| m.is_subnormal()));
}

fn flush_in_motion(what: &str) {
    flush_against_none(what, &mut Buffers::new(MIDDLE), &mut Buffers::new(MIDDLE));
}

fn flush_against_none(what: &str, one: &mut Buffers, other: &mut Buffers) {
    let (serial, flush) = (Workers::serial(), Pass::new().flush_subnormals());
    report(what, pair(|| step(&serial, &flush, one.bare()), || step(&serial, &Pass::new(), other.bare())));
}

/// After 1000 steps with gradients of 0.
fn rested() -> Buffers {
    let mut buffers = Buffers { grads: vec![0.0; MIDDLE], ..Buffers::new(MIDDLE) };
    (0..1000).for_each(|_| step(&Workers::serial(), &Pass::new(), buffers.bare()));
    assert!(buffers.exp_avg.iter().all(|m| m.is_subnormal()), "they settle on a subnormal");
    buffers
}

/// What each part adds to a step that is all in cache.
fn in_cache(what: &str) {
    println!("{what}");
    let fine = "a valid option";
    let pass = Pass::new();
    let lines: [(&str, Pass); 8] = [
        ("nothing", pass),
        ("loss_scale", pass.loss_scale(2.0).expect(fine)),
        ("check", pass.check(NonFinite::Refuse)),
        ("clip_global_norm", pass.clip_global_norm(1.0).expect(fine)),
        ("clip_value", pass.clip_value(1.0).expect(fine)),
        ("clip_adaptive", pass.clip_adaptive(0.01, 1e-3).expect(fine)),
        ("flush_subnormals", pass.flush_subnormals()),
        ("bounds", pass.bounds(-1.0, 1.0).expect(fine)),
    ];
    for (part, pass) in lines {
        let (mut one, mut other) = (Buffers::new(SMALL), Buffers::new(SMALL));
        in_cache_line(part, || step(&Workers::serial(), &pass, one.bare()), &mut other);
    }
    zeroing_in_cache();
    let slot = TelemetrySlot::default();
    let (mut one, mut other) = (Buffers::new(SMALL), Buffers::new(SMALL));
    in_cache_line("telemetry", || step(&Workers::serial(), &pass, one.bare().telemetry(&slot)), &mut other);
    in_cache_line("bf16 copy", || step(&Workers::serial(), &pass, one.with_copy()), &mut other);
    let averaged = pass.average(Average::exponential(0.999).expect(fine));
    in_cache_line("average", || step(&Workers::serial(), &averaged, one.with_average()), &mut other);
    let more = vec![0.1; SMALL];
    let more = [Floats::F32(&more)];
    in_cache_line(
        "a second micro-batch",
        || step(&Workers::serial(), &pass, one.bare().more_grads(&more)),
        &mut other,
    );
}

/// Both sides get new gradients for every step: with none the state would go towards 0, and subnormal numbers are slow.
fn zeroing_in_cache() {
    let grads = Buffers::new(SMALL).grads;
    let (serial, pass) = (Workers::serial(), Pass::new().zero_grads());
    let (mut one, mut other) = (Buffers::new(SMALL), Buffers::new(SMALL));
    let zeroing = || {
        one.grads.copy_from_slice(&grads);
        step(&serial, &pass, one.bare());
    };
    let plain = || {
        other.grads.copy_from_slice(&grads);
        serial.step_model(&rule(), 10, &mut [other.plain()]).expect("valid slices");
    };
    report("  zero_grads, new gradients on both sides", pair(zeroing, plain));
}

fn in_cache_line(part: &str, with: impl FnMut(), other: &mut Buffers) {
    let serial = Workers::serial();
    let without = || serial.step_model(&rule(), 10, &mut [other.plain()]).expect("valid slices");
    report(&format!("  {part}"), pair(with, without));
}
