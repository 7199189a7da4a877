//! Every rule with every combination of its options.

use std::{format, string::String, vec, vec::Vec};

use gradstep::{AnyRule, Domain, Error, Kind, OptionInfo, Rule, Scope, Slot, Value};

use crate::Random;

/// A rule with its options set.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The label names the rule and the options.
    pub label: String,
    /// The rule itself.
    pub rule: AnyRule,
}

/// Whether a rule steps each element by itself: it keeps no number about the whole tensor.
pub fn is_elementwise(rule: &impl Rule) -> bool {
    rule.slots().iter().all(Slot::is_full)
}

/// The names of the rules that step each element by itself.
pub fn elementwise() -> impl Iterator<Item = &'static str> {
    AnyRule::NAMES.iter().copied().filter(|name| is_elementwise(&named(name)))
}

/// The names of the rules that look at whole tensors.
pub fn whole() -> impl Iterator<Item = &'static str> {
    AnyRule::NAMES.iter().copied().filter(|name| !is_elementwise(&named(name)))
}

/// The rules that keep numbers which all tensors share.
pub fn sharing() -> impl Iterator<Item = AnyRule> {
    AnyRule::NAMES
        .iter()
        .map(|name| named(name))
        .filter(|rule| rule.measures().is_some_and(|measures| measures.scope() == Scope::Together))
}

fn named(name: &str) -> AnyRule {
    AnyRule::named(name).expect("a registered name")
}

/// The configurations of all element-wise rules.
pub fn configurations() -> Vec<Configuration> {
    elementwise().flat_map(configurations_of).collect()
}

/// Every preset of a rule, and every combination of its own flags and choices. Each combination comes with the usual numbers and
/// with odd ones, and with some of the options that all rules have. What the rule refuses is left out.
pub fn configurations_of(name: &str) -> Vec<Configuration> {
    let mut all = presets(name);
    let usual = named(name);
    let mut random = Random(1);
    for (i, own) in combinations(own_options(&usual)).iter().enumerate() {
        for common in some_common(i) {
            let settings = [&own[..], common].concat();
            let plain = configure(usual, &settings);
            let odd = configure(with_odd_numbers(usual, &mut random), &settings);
            for (rule, kind) in [(plain, "usual"), (odd, "odd")] {
                if let Ok(rule) = rule {
                    all.push(Configuration { label: format!("{name} {kind} {settings:?}"), rule });
                }
            }
        }
    }
    all
}

/// The options that not every rule has, which stand first.
fn own_options(rule: &AnyRule) -> &'static [OptionInfo] {
    let own = rule.options().iter().take_while(|option| option.name != "weight_decay").count();
    &rule.options()[..own]
}

/// The first of a rule's combinations meets each of [`COMMON`]. Each other one meets none and two others.
fn some_common(i: usize) -> Vec<&'static [Setting]> {
    if i == 0 {
        return COMMON.to_vec();
    }
    [0, 1 + (2 * i) % (COMMON.len() - 1), 1 + (2 * i + 1) % (COMMON.len() - 1)].map(|i| COMMON[i]).to_vec()
}

type Setting = (&'static str, Value<'static>);

const ON: Value<'static> = Value::Flag(true);
const SOME: Value<'static> = Value::Number(0.03);

/// The options that all rules have: none of them, each alone, and a few together.
const COMMON: &[&[Setting]] = &[
    &[],
    &[("maximize", ON)],
    &[("weight_decay", SOME)],
    &[("weight_decay", SOME), ("decay", Value::Choice("decoupled"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("decoupled-after"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("fixed"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("fixed-after"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("proximal"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("decoupled")), ("cautious_decay", ON)],
    &[("l1", SOME)],
    &[("l1", SOME), ("l1_form", Value::Choice("proximal"))],
    &[("cautious", ON)],
    &[("weight_decay", SOME), ("maximize", ON), ("cautious", ON), ("l1", SOME)],
    &[
        ("weight_decay", SOME),
        ("decay", Value::Choice("fixed-after")),
        ("cautious", ON),
        ("cautious_decay", ON),
        ("l1", SOME),
        ("l1_form", Value::Choice("proximal")),
    ],
];

/// The presets of a rule.
pub fn presets(name: &str) -> Vec<Configuration> {
    let configuration = |preset: &&str| Configuration {
        label: format!("{name}/{preset}"),
        rule: AnyRule::preset(name, preset).expect("a registered preset"),
    };
    AnyRule::presets(name).iter().map(configuration).collect()
}

/// All combinations of the values that flags and choices can take.
fn combinations(options: &'static [OptionInfo]) -> Vec<Vec<Setting>> {
    let mut all = vec![vec![]];
    for option in options {
        let values: Vec<Value<'static>> = match option.kind {
            Kind::Number(_) => continue,
            Kind::Flag => vec![Value::Flag(false), Value::Flag(true)],
            Kind::Choice(words) => words.iter().map(|word| Value::Choice(word)).collect(),
        };
        all = all
            .iter()
            .flat_map(|settings| {
                values.iter().map(|value| [&settings[..], &[(option.name, *value)]].concat())
            })
            .collect();
    }
    all
}

fn configure(mut rule: AnyRule, settings: &[Setting]) -> Result<AnyRule, Error> {
    for &(name, value) in settings {
        rule.set(name, value)?;
    }
    rule.check()?;
    Ok(rule)
}

/// Sets about half of the numbers to others of their domain: to its lower end, or well inside it. A number that is refused, or
/// that contradicts another option, is left as it was.
pub fn with_odd_numbers(mut rule: AnyRule, random: &mut Random) -> AnyRule {
    for option in rule.options() {
        if let Kind::Number(domain) = option.kind {
            let inside = match domain {
                Domain::BelowOne | Domain::Unit => 0.75,
                _ => 0.03,
            };
            let value = match random.below(4) {
                0 => 0.0,
                1 => inside,
                _ => continue,
            };
            rule = configure(rule, &[(option.name, Value::Number(value))]).unwrap_or(rule);
        }
    }
    rule
}
