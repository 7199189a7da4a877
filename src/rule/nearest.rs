//! Which option was meant by a name that a rule does not have.
//!
//! First the words of the frameworks are looked through, because `epsilon` is spelt no more like `eps` than like many other
//! names. Then the spelling decides: the option that the fewest changes of a letter lead to, if they are few enough.
//! Neither needs an allocator.

use crate::rule::values::OptionInfo;

/// What frameworks, authors and older versions of this crate call an option: the rule (empty for all rules), the word, and
/// the option here. A word counts where the rule has the option.
const WORDS: &[(&str, &str, &str)] = &[
    ("", "learning_rate", "lr"),
    ("", "epsilon", "eps"),
    ("", "eps_in_sqrt", "eps_place"),
    ("", "eps_root", "eps"),
    ("", "beta_1", "beta1"),
    ("", "beta_2", "beta2"),
    ("", "b1", "beta1"),
    ("", "b2", "beta2"),
    ("", "b3", "beta3"),
    ("", "betas", "beta1"),
    ("", "beta", "momentum"),
    ("", "wd", "weight_decay"),
    ("", "update_decay", "weight_decay"),
    ("", "decouple", "decay"),
    ("", "decoupled", "decay"),
    ("", "weight_decouple", "decay"),
    ("", "decoupled_weight_decay", "decay"),
    ("", "no_prox", "decay"),
    ("", "bias_correction_mu", "bias_correction1"),
    ("", "bias_correction_nu", "bias_correction2"),
    ("", "estim_lr0", "d0"),
    ("rmsprop", "rho", "alpha"),
    ("rmsprop", "decay", "alpha"),
    ("rmsprop", "initial_scale", "initial_accumulator_value"),
    ("rprop", "etas", "eta_minus"),
    ("rprop", "step_sizes", "step_size_min"),
    ("rprop", "min_step_size", "step_size_min"),
    ("rprop", "max_step_size", "step_size_max"),
    ("adabound", "amsbound", "amsgrad"),
    ("adopt", "use_clipping", "clip"),
    ("adopt", "clip_lambda", "clip"),
    ("adopt", "clip_value_fn", "clip"),
    ("schedulefree_sgd", "b1", "momentum"),
    ("sophia", "rho", "gamma"),
    ("sophia", "clip_threshold", "clip"),
    ("ftrl", "l2", "l2_strength"),
    ("ftrl", "l1_strength", "l1"),
    ("ftrl", "l1_regularization_strength", "l1"),
    ("ftrl", "l2_regularization_strength", "l2_strength"),
    ("ftrl", "l2_shrinkage_regularization_strength", "l2_shrinkage"),
    ("dowg", "init_estim_sq_dist", "init_sq_distance"),
    ("prodigy", "estim_lr_coef", "growth"),
    ("prodigy", "d_coef", "growth"),
];

/// The option that was probably meant by `name`.
pub(crate) fn option(rule: &str, options: &[OptionInfo], name: &str) -> Option<&'static str> {
    let there = |wanted: &&str| options.iter().any(|option| option.name == *wanted);
    words(rule, name).find(there).or_else(|| by_spelling(options, name))
}

/// The option that a framework means by a word which is the name of another option here.
pub(crate) fn another_word(rule: &str, name: &str) -> Option<&'static str> {
    words(rule, name).next()
}

fn words(rule: &str, name: &str) -> impl Iterator<Item = &'static str> {
    let meant = move |(of, word, _): &&(&str, &str, &str)| (of.is_empty() || *of == rule) && *word == name;
    WORDS.iter().filter(meant).map(|(.., option)| *option)
}

fn by_spelling(options: &[OptionInfo], name: &str) -> Option<&'static str> {
    let near = options.iter().filter_map(|option| Some((distance(name, option.name)?, option.name)));
    // A third of the letters may be wrong: of two letters none, or `l2` would be `lr`.
    let near = near.filter(|(changes, option)| changes * 3 <= option.len());
    near.min_by_key(|(changes, _)| *changes).map(|(_, option)| option)
}

/// No option's name is longer.
const LONGEST: usize = 32;

/// Returns how many letters have to be put in, left out or replaced (Levenshtein's distance), whatever their case; `None`
/// for a name that is much too long.
fn distance(name: &str, option: &str) -> Option<usize> {
    let name = name.as_bytes();
    if name.len() > LONGEST {
        return None;
    }
    // `row[j]` is the distance from the first letters of `option` to the first `j` of `name`.
    let mut row: [usize; LONGEST + 1] = core::array::from_fn(|j| j);
    for (i, wanted) in option.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, letter) in name.iter().enumerate() {
            let replaced = diagonal + usize::from(!letter.eq_ignore_ascii_case(&wanted));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    Some(row[name.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::AnyRule;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, changes) in [
            ("", "lr", 2),
            ("lr", "lr", 0),
            ("LR", "lr", 0),
            ("kitten", "sitting", 3),
            ("sitting", "kitten", 3),
            ("beta_1", "beta1", 1),
        ] {
            assert_eq!(distance(a, b), Some(changes), "{a} {b}");
        }
        assert_eq!(distance(core::str::from_utf8(&[b'x'; LONGEST + 1]).unwrap(), "lr"), None);
    }

    #[test]
    fn every_word_leads_to_an_option_of_its_rule() {
        for (of, word, option) in WORDS {
            let rules = AnyRule::NAMES.iter().map(|name| AnyRule::named(name).unwrap());
            let mut rules = rules.filter(|rule| of.is_empty() || crate::Rule::kind(rule) == *of);
            assert!(
                rules.any(|rule| rule.options().iter().any(|info| info.name == *option)),
                "{of} {word} {option}"
            );
        }
    }

    #[test]
    fn every_option_fits_a_row() {
        for name in AnyRule::NAMES {
            let rule = AnyRule::named(name).unwrap();
            assert!(rule.options().iter().all(|option| option.name.len() <= LONGEST));
        }
    }
}
