//! Turns, times and ratios.

use std::{fs, thread, time::Instant};

use anyhow::Result;

use crate::contenders::Contender;

/// Rounds that do not count.
const WARM_UPS: u32 = 2;

/// Work worth timing.
const GRAIN_ELEMENTS: usize = 1 << 20;

pub fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {threads} threads", model.unwrap_or("unknown processor"))
}

/// Prints each contender's time, and how many times that of the first it is: the median over the rounds of the ratio
/// within a round, and where 8 of 10 lie.
pub fn compare(contenders: &mut [Box<dyn Contender>], elements: usize, rounds: u32) -> Result<()> {
    let mut times = vec![vec![]; contenders.len()];
    for round in 0..WARM_UPS + rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let time = nanos_per_element(contender.as_mut(), elements)?;
            if round >= WARM_UPS {
                times.push(time);
            }
        }
    }
    println!("{:34}{:>10}  {:>9}  {:>16}", "", "ns/param", "x first", "10 % to 90 %");
    for (contender, theirs) in contenders.iter().zip(&times) {
        let ratios = sorted(theirs.iter().zip(&times[0]).map(|(their, first)| their / first).collect());
        let at = |part: f64| ratios[((ratios.len() - 1) as f64 * part).round() as usize];
        let spread = format!("{:.2} to {:.2}", at(0.1), at(0.9));
        let nanos = sorted(theirs.clone())[theirs.len() / 2];
        println!("{:34}{nanos:>10.3}  {:>9.2}  {spread:>16}", contender.name(), at(0.5));
    }
    Ok(())
}

fn nanos_per_element(contender: &mut dyn Contender, elements: usize) -> Result<f64> {
    let calls = (GRAIN_ELEMENTS / elements.max(1)).max(1);
    let start = Instant::now();
    for _ in 0..calls {
        contender.step()?;
    }
    Ok(start.elapsed().as_nanos() as f64 / (calls * elements) as f64)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
