//! With an operating system: prints, and takes the names of backends.

use std::{env, process::ExitCode};

use gradstep::Backend;
use gradstep_hash::report;

pub fn main() -> ExitCode {
    let mut names: Vec<String> = env::args().skip(1).collect();
    if names.is_empty() {
        names = Backend::available().map(|backend| backend.name().to_owned()).collect();
    }
    // All of them, even after one that differs.
    let agree = names.iter().filter(|name| !check(name)).count() == 0;
    if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(name: &str) -> bool {
    let mut text = String::new();
    let agree = match Backend::named(name) {
        Ok(backend) => report(backend, &mut text).is_ok_and(|agree| agree),
        Err(error) => {
            text = format!("{error}\n");
            false
        }
    };
    print!("{text}");
    agree
}
