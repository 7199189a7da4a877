//! With an operating system: prints, and takes the names of backends and rules.

use std::{env, process::ExitCode};

use gradstep::{AnyRule, Backend};
use gradstep_hash::report;

pub fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    let (backends, rules): (Vec<&str>, Vec<&str>) =
        names.iter().map(String::as_str).partition(|name| Backend::NAMES.contains(name));
    let backends =
        if backends.is_empty() { Backend::available().map(Backend::name).collect() } else { backends };
    let rules = if rules.is_empty() { AnyRule::NAMES } else { &rules };
    // All of them, even after one that differs.
    let agree = backends.iter().filter(|name| !check(name, rules)).count() == 0;
    if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(backend: &str, rules: &[&str]) -> bool {
    let mut text = String::new();
    let agree = match Backend::named(backend) {
        Ok(backend) => report(backend, rules, &mut text).is_ok_and(|agree| agree),
        Err(error) => {
            text = format!("{error}\n");
            false
        }
    };
    print!("{text}");
    agree
}
