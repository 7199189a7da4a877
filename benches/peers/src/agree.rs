//! Contenders that compute different things are not worth comparing.

use anyhow::{Result, ensure};

use crate::contenders::Contender;

/// Leaves a tail beside registers of any width.
pub const ELEMENTS: usize = 10_007;

const STEPS: usize = 10;

/// Parameters are below 1, and move by some 0.01: this is a few units in their last place.
const TOLERANCE: f32 = 1e-6;

/// Lets each take some steps, and compares with the first of them.
pub fn check(contenders: &mut [Box<dyn Contender>]) -> Result<()> {
    let mut first = None;
    for contender in contenders {
        for _ in 0..STEPS {
            contender.step()?;
        }
        let (name, params) = (contender.name(), contender.params()?);
        let truth = first.get_or_insert_with(|| params.clone());
        ensure!(params.len() == truth.len(), "{name} has {} elements of {}", params.len(), truth.len());
        let farthest = params.iter().zip(truth.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        ensure!(farthest <= TOLERANCE, "{name} is {farthest:e} off after {STEPS} steps");
        println!("{name}: at most {farthest:.1e} from the first after {STEPS} steps");
    }
    Ok(())
}
