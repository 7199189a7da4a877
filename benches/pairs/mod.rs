//! Two things that take turns in one process, and the ratios of their times.

use std::{
    fs,
    time::{Duration, Instant},
};

use gradstep::{Backend, Join, Rayon};

/// How long a pair is measured.
const BUDGET: Duration = Duration::from_secs(3);

/// Each measurement repeats its step for about this long, so that the clock's grain does not count.
const GRAIN: Duration = Duration::from_millis(2);

/// Says what machine this is, and what the columns are.
pub fn header(what: &str) {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let (name, backend, threads) = (model.unwrap_or("unknown processor"), Backend::detect(), Rayon.threads());
    println!("{name}, {threads} threads, {backend}; {what}");
    println!("{:58}{:>8}  {:>15}  rounds", "", "median", "10 % to 90 %");
}

/// Ratios of the first's time to the second's, in turns.
pub fn pair(mut first: impl FnMut(), mut second: impl FnMut()) -> Vec<f64> {
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
pub fn report(what: &str, ratios: Vec<f64>) {
    let at = |part: f64| ratios[((ratios.len() - 1) as f64 * part).round() as usize];
    let spread = format!("{:.3} to {:.3}", at(0.1), at(0.9));
    println!("{what:58}{:>8.3}  {spread:>15}  {}", at(0.5), ratios.len());
}
