//! Who takes part: one file each.

use anyhow::Result;

use crate::problem::Problem;

mod burn_flex;
mod candle;
mod candle_optimisers;
mod gradstep;
mod plain;

/// One implementation of AdamW with its own copy of the problem.
pub trait Contender {
    fn name(&self) -> String;
    fn step(&mut self) -> Result<()>;
    fn params(&self) -> Result<Vec<f32>>;
}

/// The first is what the others are measured by.
pub fn all(problem: &Problem) -> Result<Vec<Box<dyn Contender>>> {
    Ok(vec![
        Box::new(gradstep::Gradstep::parallel(problem)),
        Box::new(gradstep::Gradstep::serial(problem)),
        Box::new(plain::Plain::new(problem)),
        Box::new(burn_flex::Burn::new(problem)),
        Box::new(candle::Candle::new(problem)?),
        Box::new(candle_optimisers::CandleOptimisers::new(problem)?),
    ])
}
