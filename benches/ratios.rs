//! What sharing and lists cost, as ratios: the two sides of a pair take turns in one process, and the median of the
//! ratios is given with its spread. `cargo bench --bench ratios`.

mod common;

use std::{
    cell::RefCell,
    fs,
    time::{Duration, Instant},
};

use common::Model;
use gradstep::{AdamW, AnyRule, Backend, Join, Rayon, Tensor, Workers};

/// How long a pair is measured.
const BUDGET: Duration = Duration::from_secs(3);

/// Each measurement repeats its step for about this long, so that the clock's grain does not count.
const GRAIN: Duration = Duration::from_millis(2);

fn main() {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let (name, backend, threads) = (model.unwrap_or("unknown processor"), Backend::detect(), Rayon.threads());
    println!("{name}, {threads} threads, {backend}; AdamW; time of the first over the second");
    println!("{:58}{:>8}  {:>15}  rounds", "", "median", "10 % to 90 %");
    lists_against_flat();
    parallel_against_serial();
}

fn rule() -> AnyRule {
    AnyRule::AdamW(AdamW::torch())
}

fn lists_against_flat() {
    for (list, shapes) in [
        ("500 tensors of 64", common::tiny()),
        ("40 layers of 256x256 and 256", common::perceptron()),
        ("resnet50", common::resnet50()),
        ("gpt2 124 M", common::gpt2()),
    ] {
        let flat = [shapes.iter().sum()];
        lists_on(&format!("{list} / one flat tensor, 1 thread"), &shapes, &flat, &Workers::serial());
        lists_on(&format!("{list} / one flat tensor, all threads"), &shapes, &flat, &Workers::rayon());
    }
}

fn lists_on<J: Join>(what: &str, shapes: &[usize], flat: &[usize], workers: &Workers<J>) {
    let (mut many, mut one) = (Model::new(&rule(), shapes), Model::new(&rule(), flat));
    let (mut many, mut one) = (many.tensors(), one.tensors());
    let step = |tensors: &mut [Tensor<'_>]| workers.step_model(&rule(), 10, tensors).expect("valid slices");
    report(what, pair(|| step(&mut many), || step(&mut one)));
}

/// At every size, with the default cut-off: a parallel call must not be much slower than a serial one. Both step the same
/// tensor: where in memory another one lies makes more of a difference than what is measured.
fn parallel_against_serial() {
    for exponent in 10..=24 {
        let elements = 1 << exponent;
        let mut model = Model::new(&rule(), &[elements]);
        let tensors = RefCell::new(model.tensors());
        let pair = pair(
            || Workers::rayon().step_model(&rule(), 1, &mut tensors.borrow_mut()).expect("valid slices"),
            || Workers::serial().step_model(&rule(), 1, &mut tensors.borrow_mut()).expect("valid slices"),
        );
        report(&format!("parallel / serial, one tensor of {elements}"), pair);
    }
}

/// Ratios of the first's time to the second's, in turns.
fn pair(mut first: impl FnMut(), mut second: impl FnMut()) -> Vec<f64> {
    let repeats = repeats(&mut first).max(repeats(&mut second));
    let start = Instant::now();
    let mut ratios = Vec::new();
    while start.elapsed() < BUDGET || ratios.len() < 5 {
        ratios.push(time(repeats, &mut first) / time(repeats, &mut second));
    }
    ratios.sort_by(f64::total_cmp);
    ratios
}

fn repeats(step: &mut impl FnMut()) -> u32 {
    step();
    let once = time(1, step).max(1e-9);
    (GRAIN.as_secs_f64() / once).ceil() as u32
}

fn time(repeats: u32, step: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..repeats).for_each(|_| step());
    start.elapsed().as_secs_f64()
}

/// `ratios` are sorted.
fn report(what: &str, ratios: Vec<f64>) {
    let at = |part: f64| ratios[((ratios.len() - 1) as f64 * part).round() as usize];
    let spread = format!("{:.3} to {:.3}", at(0.1), at(0.9));
    println!("{what:58}{:>8.3}  {spread:>15}  {}", at(0.5), ratios.len());
}
