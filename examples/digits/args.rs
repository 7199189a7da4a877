//! The command line, and what it makes of the rules.

use std::path::PathBuf;

use clap::Parser;
use gradstep::{
    AnyRule, Error, Rule as _,
    train::{Batch, Plan},
};

/// Learning rates that suit this network and its batches. A rule that is not here gets the default of its preset.
const LEARNING_RATES: &[(&str, f64)] = &[
    ("sgd", 0.2),
    ("momentum", 0.05),
    ("sgdw", 0.05),
    ("qhm", 1.0),
    ("signsgd", 0.002),
    ("signum", 0.0005),
    ("lion", 0.0005),
    // Averaging would begin after `t0`, a million steps: until then the average is the parameters themselves.
    ("asgd", 0.2),
    ("adagrad", 0.1),
    ("rmsprop", 0.003),
    ("adadelta", 2.0),
    ("adam", 0.005),
    ("adamw", 0.005),
    ("adamax", 0.01),
    ("radam", 0.01),
    ("adabelief", 0.005),
    ("yogi", 0.01),
    ("adabound", 0.005),
    ("amsbound", 0.005),
    ("qhadam", 0.005),
    ("adopt", 0.005),
    ("adan", 0.01),
    // Where gradients are small, its first step leaves next to nothing of He's weights. The hidden units differ all the
    // same, since their first gradients do.
    ("ftrl", 0.2),
    // Nobody estimates the Hessian here: with zeros for it this is Signum.
    ("sophia", 0.0005),
    ("ngd", 0.1),
    ("lars", 1.0),
    ("lamb", 0.005),
    ("novograd", 0.01),
    // Their rates are for the whole gradient: the noise of small batches makes them too large.
    ("dowg", 0.3),
    ("dadapt_adam", 0.3),
];

/// Rules that go by the signs of successive gradients, which the noise of small batches turns: with batches of 32, no
/// learning rate brings them to 95 %.
const WHOLE_BATCH: &[&str] = &["rprop"];

const BATCH: usize = 32;

/// Trains a small network on handwritten digits with each rule, and draws how the losses fall.
#[derive(Debug, Parser)]
#[command(name = "digits", after_help = format!("The rules: {}", AnyRule::NAMES.join(", ")))]
pub struct Args {
    /// A rule to train with, or `all`; more with commas, or by repeating the option
    #[arg(long = "rule", value_name = "NAME", default_value = ALL, value_delimiter = ',', value_parser = rule_name)]
    names: Vec<String>,

    /// The learning rate for all rules, instead of one that suits each; more with commas, to compare them
    #[arg(long = "lr", value_name = "LR", allow_negative_numbers = true, value_delimiter = ',')]
    lrs: Vec<f64>,

    /// How many times to pass over the training samples
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,

    /// How many samples a step is taken over, instead of 32, or all of them for rprop
    #[arg(long)]
    batch: Option<usize>,

    /// What the first weights and the order of the samples are drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Where to write the picture of the loss curves, an SVG
    #[arg(long, value_name = "FILE", default_value = "target/digits.svg")]
    pub out: PathBuf,

    /// Where to write what every step tells of itself, a CSV; a picture of it goes beside, with the ending svg
    #[arg(long, value_name = "FILE")]
    pub telemetry: Option<PathBuf>,

    /// Show no progress bars
    #[arg(long)]
    pub quiet: bool,
}

const ALL: &str = "all";

impl Args {
    /// The chosen rules, in the order of the registry, each with all of its learning rates.
    pub fn rules(&self) -> Result<Vec<AnyRule>, Error> {
        let chosen = |name: &&&str| self.names.iter().any(|chosen| chosen == ALL || chosen == **name);
        let names = AnyRule::NAMES.iter().filter(chosen);
        names.flat_map(|name| self.lrs(name).into_iter().map(|lr| rule(name, lr))).collect()
    }

    /// The learning rates to train a rule with; `None` is the default of its preset.
    fn lrs(&self, name: &str) -> Vec<Option<f64>> {
        if self.lrs.is_empty() {
            vec![suitable_lr(name)]
        } else {
            self.lrs.iter().copied().map(Some).collect()
        }
    }

    /// What tells a rule from the others in a picture.
    pub fn label(&self, rule: &AnyRule) -> String {
        match rule.get("lr") {
            Some(lr) if self.lrs.len() > 1 => format!("{} {lr}", rule.name()),
            _ => rule.name().to_owned(),
        }
    }

    pub fn plan(&self, rule: &AnyRule) -> Plan {
        let batch = match self.batch {
            None if WHOLE_BATCH.contains(&rule.name()) => Batch::Full,
            len => Batch::Mini(len.unwrap_or(BATCH)),
        };
        Plan { batch, seed: self.seed, epochs: self.epochs, ..Plan::default() }
    }
}

fn rule(name: &str, lr: Option<f64>) -> Result<AnyRule, Error> {
    let mut rule = AnyRule::named(name)?;
    if let Some(lr) = lr {
        rule.set("lr", lr)?;
    }
    Ok(rule)
}

fn suitable_lr(name: &str) -> Option<f64> {
    LEARNING_RATES.iter().find(|(rule, _)| *rule == name).map(|&(_, lr)| lr)
}

fn rule_name(text: &str) -> Result<String, Error> {
    if text != ALL {
        AnyRule::named(text)?;
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use gradstep::Value;

    use super::*;

    #[test]
    fn the_options_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn all_rules_are_the_default() {
        for words in [&["digits"][..], &["digits", "--rule", "all"]] {
            let rules = Args::parse_from(words).rules().unwrap();
            assert!(rules.iter().map(|rule| rule.name()).eq(AnyRule::NAMES.iter().copied()));
        }
    }

    #[test]
    fn rules_can_be_chosen_and_given_a_learning_rate() {
        let args = Args::parse_from(["digits", "--rule", "adamw,sgd", "--rule", "sgd", "--lr", "0.5"]);
        let rules = args.rules().unwrap();
        assert!(rules.iter().map(|rule| rule.name()).eq(["sgd", "adamw"]));
        assert!(rules.iter().all(|rule| rule.get("lr") == Some(Value::Number(0.5))));
    }

    #[test]
    fn a_rule_may_have_several_learning_rates() {
        let args = Args::parse_from(["digits", "--rule", "adam,sgd", "--lr", "0.5,2"]);
        let labels: Vec<_> = args.rules().unwrap().iter().map(|rule| args.label(rule)).collect();
        assert_eq!(labels, ["sgd 0.5", "sgd 2", "adam 0.5", "adam 2"]);
        let args = Args::parse_from(["digits", "--rule", "sgd"]);
        assert_eq!(args.label(&args.rules().unwrap()[0]), "sgd");
    }

    #[test]
    fn the_crate_says_what_is_wrong() {
        let refusal = Args::try_parse_from(["digits", "--rule", "adm"]).unwrap_err();
        assert!(refusal.to_string().contains(r#"there is no rule "adm"; there are sgd,"#));
        let refusal = Args::parse_from(["digits", "--lr", "-1"]).rules().unwrap_err();
        assert!(matches!(refusal, Error::OutOfRange { option: "lr", .. }));
    }

    #[test]
    fn what_suits_is_of_a_rule() {
        assert!(LEARNING_RATES.iter().all(|(name, _)| AnyRule::NAMES.contains(name)));
        assert!(WHOLE_BATCH.iter().all(|name| AnyRule::NAMES.contains(name)));
    }

    #[test]
    fn batches_are_those_that_suit_or_those_that_are_asked_for() {
        let batch = |words: &[&str], name| {
            let args = Args::parse_from([&["digits"], words].concat());
            args.plan(&AnyRule::named(name).unwrap()).batch
        };
        assert_eq!(batch(&[], "sgd"), Batch::Mini(32));
        assert_eq!(batch(&[], "rprop"), Batch::Full);
        assert_eq!(batch(&["--batch", "64"], "rprop"), Batch::Mini(64));
    }
}
