//! Trains a small network on handwritten digits with every rule, compares them in a table and draws their losses.
//!
//! ```text
//! cargo run --release --example digits
//! cargo run --release --example digits -- --rule adam,adamw --lr 0.003 --epochs 20
//! ```

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use args::Args;
use data::Data;
use table::Table;

mod args;
mod chart;
mod data;
mod network;
mod progress;
mod random;
#[cfg(test)]
mod resume;
mod table;
mod timing;
mod training;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let rules = args.rules()?;
    let data = Data::load();
    let outcomes = rules
        .into_iter()
        .map(|rule| training::train(rule, &data, &args.plan(&rule), args.quiet))
        .collect::<Result<Vec<_>, _>>()?;

    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", Table(&outcomes))?;
    chart::write(&args.out, &outcomes)
        .map_err(|error| format!("can't write {}: {error}", args.out.display()))?;
    writeln!(stdout, "The loss curves are in {}.", args.out.display())?;
    Ok(())
}
