//! The processor's clock, which the operating system may know only by its nominal rate.

use std::{hint::black_box, time::Instant};

const STEPS: u32 = 100_000;

/// How fast it runs now, in GHz: by a chain of exclusive ors and additions, each of which takes one cycle and waits
/// for the one before.
pub fn gigahertz() -> f64 {
    let key = black_box(0x9e37_79b9_7f4a_7c15_u64);
    let start = Instant::now();
    let mut x = key;
    for _ in 0..STEPS {
        x = (x ^ key).wrapping_add(key);
    }
    black_box(x);
    f64::from(2 * STEPS) / start.elapsed().as_nanos() as f64
}
