//! A framework's argument, set on the framework's preset, does what it does there, or the refusal names the option that
//! does.

use gradstep::{Adam, AnyRule, Backend, Error, Rule, Value};
use testkit::{Buffers, presets};

/// A preset whose framework has an argument `weight_decay`, and how it enters a step there.
const DECAYS: &[(&str, &str, &str)] = &[
    ("sgd", "torch", "coupled"),
    ("sgd", "keras", "decoupled"),
    ("momentum", "torch", "coupled"),
    ("momentum", "keras", "decoupled"),
    ("momentum", "burn", "coupled"),
    ("sgdw", "paper", "fixed"),
    ("sgdw", "torch", "decoupled"),
    ("qhm", "paper", "coupled"),
    ("lion", "paper", "decoupled"),
    ("lion", "keras", "decoupled"),
    ("lion", "optax", "decoupled"),
    ("asgd", "torch", "coupled"),
    ("adagrad", "torch", "coupled"),
    ("adagrad", "keras", "decoupled"),
    ("rmsprop", "torch", "coupled"),
    ("rmsprop", "keras", "decoupled"),
    ("adadelta", "torch", "coupled"),
    ("adadelta", "keras", "decoupled"),
    ("adam", "torch", "coupled"),
    ("adam", "keras", "decoupled"),
    ("adamw", "torch", "decoupled"),
    ("adamw", "keras", "decoupled"),
    ("adamw", "optax", "decoupled"),
    ("adamax", "torch", "coupled"),
    ("adamax", "keras", "decoupled"),
    ("adamaxw", "optax", "decoupled"),
    ("nadam", "torch", "coupled"),
    ("nadam", "keras", "decoupled"),
    ("nadamw", "torch", "decoupled"),
    ("nadamw", "optax", "decoupled"),
    ("radam", "torch", "coupled"),
    ("adabelief", "paper", "decoupled"),
    ("adabound", "paper", "coupled"),
    ("amsbound", "paper", "coupled"),
    ("qhadam", "paper", "coupled"),
    ("adopt", "paper", "coupled"),
    ("ademamix", "paper", "decoupled"),
    ("ademamix", "optax", "decoupled"),
    ("adan", "paper", "proximal"),
    ("adan", "optax", "decoupled"),
    ("madgrad", "paper", "coupled"),
    ("madgrad", "optax", "coupled"),
    ("ftrl", "keras", "decoupled"),
    ("sophia", "paper", "decoupled"),
    ("sophia", "optax", "decoupled"),
    ("lars", "optax", "coupled"),
    ("lamb", "optax", "update"),
    ("lamb", "keras", "decoupled"),
    ("novograd", "optax", "update"),
    ("dog", "optax", "coupled"),
    ("dowg", "optax", "coupled"),
    ("prodigy", "optax", "update"),
    ("dadapt_adamw", "optax", "update"),
    ("schedule_free_sgd", "paper", "coupled"),
    ("schedule_free_sgd", "optax", "coupled"),
    ("schedule_free_adamw", "paper", "update"),
    ("schedule_free_adamw", "optax", "update"),
    ("schedule_free_adamw", "keras", "decoupled"),
];

#[test]
fn weight_decay_of_each_preset_is_that_of_its_framework() {
    for (name, preset, decay) in DECAYS {
        let rule = AnyRule::preset(name, preset).unwrap();
        assert_eq!(rule.get("decay"), Some(Value::Choice(decay)), "{name}/{preset}");
    }
}

/// Two steps from 1 with gradients of 2 and -1.
fn run(rule: &AnyRule) -> Vec<f32> {
    let mut buffers = Buffers::new(rule, vec![1.0], vec![2.0]);
    let after = |t| {
        buffers.grads = vec![if t == 1 { 2.0 } else { -1.0 }];
        buffers.step(Backend::SCALAR, rule, t).unwrap();
        buffers.params[0]
    };
    [1, 2].map(after).to_vec()
}

#[test]
fn weight_decay_of_any_size_moves_a_parameter() {
    for preset in AnyRule::NAMES.iter().flat_map(|name| presets(name)) {
        // Signs, and a single number divided by its size, do not see what is added to a number of the same sign.
        if ["signsgd", "signum", "rprop", "ngd", "lars", "lamb"].contains(&preset.rule.name()) {
            continue;
        }
        let (mut none, mut some) = (preset.rule, preset.rule);
        none.set("weight_decay", 0.0).unwrap();
        some.set("weight_decay", 0.5).unwrap();
        some.set("lr", 0.5).unwrap();
        none.set("lr", 0.5).unwrap();
        assert_ne!(run(&none), run(&some), "{}", preset.label);
    }
}

fn set(mut rule: AnyRule, option: &str, value: impl Into<Value<'static>>) -> AnyRule {
    rule.set(option, value).unwrap();
    rule
}

fn by_name(name: &str, preset: &str) -> AnyRule {
    set(AnyRule::preset(name, preset).unwrap(), "lr", 0.5)
}

#[track_caller]
fn assert_first(rule: &AnyRule, expected: f64) {
    let found = f64::from(run(rule)[0]);
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}: {rule:?}");
}

/// As Keras and optax write it: `g / sqrt(sum + eps)`, with nothing else beside it.
#[test]
fn eps_stands_in_the_root_where_the_framework_has_it_there() {
    for preset in ["keras", "optax"] {
        let rule = set(by_name("adagrad", preset), "initial_accumulator_value", 1.0);
        assert_first(&set(rule, "eps", 4.0), 1.0 - 0.5 * 2.0 / 3.0);
        assert_first(&set(rule, "eps", 0.0), 1.0 - 0.5 * 2.0 / 5f64.sqrt());
    }
    for preset in ["keras", "optax", "dfdx"] {
        let rule = set(set(by_name("rmsprop", preset), "alpha", 0.5), "initial_accumulator_value", 0.0);
        assert_first(&set(rule, "eps", 2.0), 0.5);
        assert_first(&set(rule, "eps", 0.0), 1.0 - 0.5 * 2.0 / 2f64.sqrt());
    }
    assert_first(&set(by_name("adagrad", "torch"), "eps", 2.0), 0.75);
    assert_first(&set(set(by_name("rmsprop", "torch"), "alpha", 0.0), "eps", 2.0), 0.75);
}

#[test]
fn eps_of_adabelief_stands_twice_in_the_authors_code() {
    let rule = set(set(by_name("adabelief", "paper"), "beta1", 0.5), "beta2", 0.5);
    // The gradient is 1 from its average: the state is 1/2 + 1/2, corrected by 1/2.
    assert_first(&set(rule, "eps", 0.5), 1.0 - 0.5 * 2.0 / (2f64.sqrt() + 0.5));
}

/// `sign(z)*max(abs(z) - l1, 0)`, and not a part of the gradient.
#[test]
fn l1_of_ftrl_is_that_of_its_formula() {
    let rule = set(set(by_name("ftrl", "keras"), "initial_accumulator_value", 0.0), "l1", 0.5);
    // z is 2 - 2/0.5, and the root of the sum 2.
    assert_first(&rule, (-0.5 + 2.0) / 4.0);
}

#[test]
fn first_distance_of_dowg_is_eps_unless_it_is_given() {
    let rule = set(by_name("dowg", "optax"), "eps", 0.25);
    assert_first(&rule, 1.0 - 0.5 * 0.25 / (1.0 + 0.25) * 2.0);
    assert_first(&set(rule, "init_sq_distance", 1.0), 1.0 - 0.5 * 1.0 / (2.0 + 0.25) * 2.0);
}

/// The name that a refusal proposes.
fn nearest(rule: &mut AnyRule, word: &str) -> Option<&'static str> {
    match rule.set(word, 0.5).unwrap_err() {
        Error::UnknownOption { nearest, known, .. } => {
            assert_eq!(known, rule.options());
            nearest
        }
        Error::WrongValue { nearest, .. } => nearest,
        other => panic!("{word}: {other}"),
    }
}

#[test]
fn refusal_of_a_framework_s_word_names_the_option() {
    for (name, preset, word, option) in [
        ("adam", "keras", "learning_rate", "lr"),
        ("adam", "keras", "epsilon", "eps"),
        ("adam", "keras", "beta_1", "beta1"),
        ("adam", "optax", "b2", "beta2"),
        ("adam", "torch", "betas", "beta1"),
        ("amsgrad", "optax", "bias_correction_nu", "bias_correction2"),
        ("adan", "optax", "b3", "beta3"),
        ("adan", "paper", "no_prox", "decay"),
        ("nadam", "torch", "decoupled_weight_decay", "decay"),
        ("rmsprop", "keras", "rho", "alpha"),
        ("rmsprop", "optax", "decay", "alpha"),
        ("rmsprop", "optax", "initial_scale", "initial_accumulator_value"),
        ("rmsprop", "optax", "eps_in_sqrt", "eps_place"),
        ("rmsprop", "keras", "eps_root", "eps"),
        ("adagrad", "keras", "eps_root", "eps"),
        ("rprop", "optax", "max_step_size", "step_size_max"),
        ("signum", "optax", "beta", "momentum"),
        ("sophia", "paper", "rho", "gamma"),
        ("sophia", "optax", "clip_threshold", "clip"),
        ("lamb", "optax", "update_decay", "weight_decay"),
        ("ftrl", "keras", "l1_strength", "l1"),
        ("ftrl", "keras", "l1_regularization_strength", "l1"),
        ("ftrl", "keras", "l2", "l2_strength"),
        ("ftrl", "keras", "l2_regularization_strength", "l2_strength"),
        ("dowg", "optax", "init_estim_sq_dist", "init_sq_distance"),
        ("prodigy", "optax", "estim_lr0", "d0"),
        ("prodigy", "optax", "estim_lr_coef", "growth"),
        ("dadapt_adamw", "optax", "estim_lr0", "d0"),
        ("schedule_free_sgd", "optax", "b1", "momentum"),
        ("schedule_free_adamw", "optax", "b1", "beta1"),
    ] {
        let mut rule = AnyRule::preset(name, preset).unwrap();
        assert_eq!(nearest(&mut rule, word), Some(option), "{name}/{preset} {word}");
        assert_eq!(rule, AnyRule::preset(name, preset).unwrap());
    }
}

#[test]
fn refusal_of_a_misspelt_name_names_the_nearest() {
    let mut rule = AnyRule::named("momentum").unwrap();
    for (word, option) in [
        ("momentun", Some("momentum")),
        ("nestrov", Some("nesterov")),
        ("Momentum", Some("momentum")),
        ("weight-decay", Some("weight_decay")),
        ("weightdecay", Some("weight_decay")),
        ("LR", Some("lr")),
        ("l2", None),
        ("", None),
        ("beta1", None),
        (&"x".repeat(1000), None),
        ("größe", None),
    ] {
        assert_eq!(nearest(&mut rule, word), option, "{word}");
    }
    assert_eq!(
        rule.set("momentun", 0.5).unwrap_err().to_string(),
        "momentum has no option \"momentun\" (did you mean momentum?); it has lr, momentum, dampening, nesterov, \
         velocity, weight_decay, decay, maximize, l1, l1_form, cautious, cautious_decay"
    );
    let refusal = AnyRule::preset("rmsprop", "optax").unwrap().set("decay", 0.9).unwrap_err();
    assert!(refusal.to_string().ends_with("and was given \"0.9\" (did you mean alpha?)"), "{refusal}");
}

#[test]
fn names_of_the_frameworks_are_understood() {
    for (name, preset, same) in [
        ("sign_sgd", "optax", AnyRule::preset("signsgd", "optax")),
        ("dadapt_adamw", "optax", AnyRule::preset("dadapt_adam", "optax")),
        ("schedule_free_sgd", "optax", AnyRule::preset("schedulefree_sgd", "optax")),
        ("schedule_free_adamw", "keras", AnyRule::preset("schedulefree_adamw", "keras")),
        ("amsgrad", "optax", Ok(set(AnyRule::Adam(Adam::optax()), "amsgrad", "corrected"))),
        (
            "adamaxw",
            "optax",
            AnyRule::preset("adamax", "optax")
                .map(|rule| set(set(rule, "decay", "decoupled"), "weight_decay", 1e-4)),
        ),
    ] {
        assert_eq!(AnyRule::preset(name, preset), same, "{name}");
        assert!(AnyRule::presets(name).contains(&preset), "{name}");
    }
    for name in AnyRule::OTHER_NAMES {
        let usual = AnyRule::named(name).unwrap();
        assert!(AnyRule::NAMES.contains(&usual.name()) && !AnyRule::NAMES.contains(name), "{name}");
        assert_eq!(AnyRule::preset(name, AnyRule::presets(name)[0]), Ok(usual));
        for preset in AnyRule::presets(name) {
            AnyRule::preset(name, preset).unwrap();
        }
        let refusal = AnyRule::preset(name, "none").unwrap_err();
        assert!(matches!(refusal, Error::UnknownPreset { known, .. } if known == AnyRule::presets(name)));
    }
}
