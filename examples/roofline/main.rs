//! Judges a machine: how near each rule comes to what the machine allows at all.
//!
//! Two loops are the roof. One moves the same bytes in the same streams and computes next to nothing; the other takes
//! nothing but a root and a division for each parameter. They run in turn with the rule, in one process.
//!
//! ```text
//! cargo run --release --example roofline
//! cargo run --release --example roofline -- --quick --rule adamw,sgd
//! cargo run --release --example roofline -- --pass --rule adamw
//! ```

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use gradstep::Rule as _;
use rayon::ThreadPoolBuilder;

use args::Args;
use case::Case;
use measure::Line;

mod args;
mod buffers;
mod case;
mod chart;
mod clock;
mod machine;
mod measure;
mod plain;
mod progress;
mod roof;
mod series;
mod spread;
mod table;

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
    ThreadPoolBuilder::new().num_threads(args.threads()).build_global()?;
    let machine = machine::describe(args.threads());
    let mut stdout = io::stdout();
    writeln!(stdout, "{machine}\n\n{}", table::header())?;
    let lines = measure_all(args)?;
    writeln!(stdout, "\n{}", table::NOTES)?;
    chart::write(&args.out, &machine, &lines)
        .map_err(|error| format!("can't write {}: {error}", args.out.display()))?;
    writeln!(stdout, "The picture is in {}.", args.out.display())?;
    Ok(())
}

/// Shows each line as soon as it is there.
fn measure_all(args: &Args) -> Result<Vec<Line>, Box<dyn Error>> {
    let cases = args.cases();
    let bar = progress::bar(cases.len());
    let measure_one = |case: Case| {
        bar.set_message(case.rule.name());
        let line = measure::measure(case, args.rounds_of(&case), args.aligned)?;
        bar.suspend(|| writeln!(io::stdout(), "{}", table::row(&line)))?;
        bar.inc(1);
        Ok(line)
    };
    let lines = cases.into_iter().map(measure_one).collect();
    bar.finish_and_clear();
    lines
}
