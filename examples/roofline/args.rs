//! The command line, and what is to be measured by it.

use std::{num::NonZero, path::PathBuf, thread};

use clap::Parser;
use gradstep::{AnyRule, Rule as _};

use crate::case::{CACHE, Case, Level, MEMORY};

/// What is measured where nothing is asked for: the rules that most people use, for a few minutes.
const USUAL: [&str; 7] = ["sgd", "momentum", "adagrad", "rmsprop", "adadelta", "adam", "adamw"];

/// Compares the rules with what the machine allows: with a loop that only moves the same bytes, and with one that only
/// takes roots and divides
#[derive(Debug, Parser)]
#[command(name = "roofline", after_help = format!("The rules: {}", AnyRule::NAMES.join(", ")))]
pub struct Args {
    /// A rule to measure; more with commas, or by repeating the option; the seven usual ones if there is none
    #[arg(long = "rule", value_name = "NAME", value_delimiter = ',', value_parser = AnyRule::named)]
    rules: Vec<AnyRule>,

    /// Fewer rounds, and in memory the smaller size alone
    #[arg(long)]
    quick: bool,

    /// Take each step in a pass which also unscales, checks and clips the gradients by their norm, zeroes them, and copies the
    /// parameters to bf16; in memory alone
    #[arg(long)]
    pass: bool,

    /// How often the loops take turns; ten times as often in the cache, where turns are short
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// How many threads share a step, besides the measurements with one; as many as the machine has if not given
    #[arg(long)]
    threads: Option<NonZero<usize>>,

    /// Start each slice at a page, instead of 16 bytes behind one as large vectors do on Linux
    #[arg(long)]
    pub aligned: bool,

    /// Where to write the picture, an SVG
    #[arg(long, value_name = "FILE", default_value = "target/roofline.svg")]
    pub out: PathBuf,
}

impl Args {
    pub fn threads(&self) -> usize {
        self.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get)
    }

    pub fn rounds_of(&self, case: &Case) -> u32 {
        let rounds = self.rounds.unwrap_or(if self.quick { 7 } else { 21 });
        match case.level {
            Level::Memory => rounds,
            Level::Cache => rounds.saturating_mul(10),
        }
    }

    /// Rule by rule, each in memory and then in the cache.
    pub fn cases(&self) -> Vec<Case> {
        let in_cache = |rule| if self.pass { Vec::new() } else { in_cache(rule) };
        self.rules().into_iter().flat_map(|rule| [self.in_memory(rule), in_cache(rule)].concat()).collect()
    }

    /// The chosen ones, in the order of the registry.
    fn rules(&self) -> Vec<AnyRule> {
        let all = AnyRule::NAMES.iter().flat_map(|name| AnyRule::named(name));
        let usual = |rule: &AnyRule| self.rules.is_empty() && USUAL.contains(&rule.name());
        all.filter(|rule| usual(rule) || self.rules.contains(rule)).collect()
    }

    fn in_memory(&self, rule: AnyRule) -> Vec<Case> {
        let sizes = if self.quick { &MEMORY[..1] } else { &MEMORY };
        let case =
            |elements, threads| Case { rule, elements, threads, level: Level::Memory, pass: self.pass };
        let alone = (self.threads() > 1).then_some(1);
        let of_size =
            |&elements| [Some(self.threads()), alone].into_iter().flatten().map(move |n| case(elements, n));
        sizes.iter().flat_map(of_size).collect()
    }
}

fn in_cache(rule: AnyRule) -> Vec<Case> {
    let case = |&elements| Case { rule, elements, threads: 1, level: Level::Cache, pass: false };
    CACHE.iter().map(case).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn cases(args: &[&str]) -> Vec<Case> {
        Args::parse_from([&["roofline"], args].concat()).cases()
    }

    #[test]
    fn the_options_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_usual_rules_are_the_default() {
        let mut names: Vec<_> = cases(&[]).iter().map(|case| case.rule.name()).collect();
        names.dedup();
        assert_eq!(names, USUAL);
    }

    #[test]
    fn memory_is_measured_with_all_threads_and_with_one() {
        let counts = |args: &[&str]| cases(args).iter().map(|case| case.threads).collect::<Vec<_>>();
        assert_eq!(counts(&["--rule", "sgd", "--threads", "3"]), [3, 1, 3, 1, 1, 1, 1, 1]);
        assert_eq!(counts(&["--rule", "sgd", "--threads", "3", "--quick"]), [3, 1, 1, 1, 1, 1]);
        assert_eq!(counts(&["--rule", "sgd", "--threads", "1", "--quick"]), [1, 1, 1, 1, 1]);
        assert_eq!(counts(&["--rule", "sgd", "--threads", "3", "--pass"]), [3, 1, 3, 1]);
    }
}
