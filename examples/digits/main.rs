//! Trains a small network on handwritten digits with every rule, compares them in a table and draws their losses.
//!
//! ```text
//! cargo run --release --example digits
//! cargo run --release --example digits -- --rule adam,adamw --lr 0.003 --epochs 20
//! cargo run --release --example digits -- --rule adam --telemetry target/telemetry.csv
//! ```

use std::{
    error::Error,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Parser as _;

use args::Args;
use data::Data;
use table::Table;

mod args;
mod chart;
mod data;
mod drawing;
mod network;
mod progress;
#[cfg(test)]
mod resume;
mod table;
mod telemetry;
mod timing;
mod training;
mod trends;

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
    let outcomes =
        rules.into_iter().map(|rule| training::train(rule, &data, args)).collect::<Result<Vec<_>, _>>()?;

    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", Table(&outcomes))?;
    written(&args.out, chart::write(&args.out, &outcomes))?;
    writeln!(stdout, "The loss curves are in {}.", args.out.display())?;
    if let Some(table) = &args.telemetry {
        let picture = table.with_extension("svg");
        written(table, telemetry::write(table, &outcomes))?;
        written(&picture, trends::write(&picture, &outcomes))?;
        writeln!(stdout, "The telemetry is in {} and {}.", table.display(), picture.display())?;
    }
    Ok(())
}

/// Says which file it is that could not be written.
fn written(path: &Path, result: io::Result<()>) -> Result<(), String> {
    result.map_err(|error| format!("can't write {}: {error}", path.display()))
}
