//! The same AdamW step by gradstep and by other crates, in turn, in one process.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```

use anyhow::Result;
use clap::Parser;

use contenders::{Contender, all};
use problem::Problem;

mod agree;
mod contenders;
mod measure;
mod problem;

/// Compares gradstep's AdamW with that of other crates: first that all compute the same, then how long they take
#[derive(Parser)]
struct Args {
    /// How many elements the one tensor has; more with commas
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1048576,16777216")]
    elements: Vec<usize>,

    /// How often the contenders take turns
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!("{}", measure::machine());
    agree::check(&mut contenders_for(agree::ELEMENTS)?)?;
    for &elements in &args.elements {
        println!("\nAdamW, one tensor of {elements} elements, {} rounds", args.rounds);
        measure::compare(&mut contenders_for(elements)?, elements, args.rounds)?;
    }
    Ok(())
}

fn contenders_for(elements: usize) -> Result<Vec<Box<dyn Contender>>> {
    all(&Problem::new(elements))
}
