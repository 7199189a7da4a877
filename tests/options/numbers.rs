//! Every number that an option takes is one that a rule can work with.

use gradstep::{AnyRule, Backend, Domain, Error, Kind, OptionInfo, Options, Sgd};
use proptest::prelude::*;
use testkit::{Buffers, configurations_of, presets};

fn domain(option: &OptionInfo) -> Option<Domain> {
    if let Kind::Number(domain) = option.kind { Some(domain) } else { None }
}

/// Both ends of what is taken, and some numbers between them.
fn taken(domain: Domain) -> impl Iterator<Item = f64> {
    let below_one = 1.0 - f64::EPSILON / 2.0;
    let numbers = [0.0, 1e-37, 1e-19, 1e-6, 0.5, below_one, 1.0, 1.0 + f64::EPSILON, 1.5, 4.0, 1e5, 1e9];
    numbers.into_iter().filter(move |x| domain.contains(*x))
}

/// The parameters after each of two steps from the start; or why the rule is refused.
fn two_steps(rule: &AnyRule, grads: [f32; 3]) -> Result<Vec<f32>, Error> {
    let mut buffers = Buffers::new(rule, vec![1.0, -0.5, 0.25], grads.to_vec());
    buffers.step(Backend::SCALAR, rule, 1)?;
    let mut found = buffers.params.clone();
    buffers.step(Backend::SCALAR, rule, 2)?;
    found.extend(buffers.params);
    Ok(found)
}

/// With everyday gradients.
fn assert_finite_or_refused(rule: &AnyRule, label: &str) {
    assert_finite_or_refused_with(rule, [0.1, 0.1, -0.1], label);
}

fn assert_finite_or_refused_with(rule: &AnyRule, grads: [f32; 3], label: &str) {
    match two_steps(rule, grads) {
        Ok(params) => assert!(params.iter().all(|p| p.is_finite()), "{label}: {params:?} {rule:?}"),
        Err(Error::Conflict { .. }) => {}
        Err(other) => panic!("{label}: {other}"),
    }
}

#[test]
fn every_number_of_a_domain_gives_finite_parameters() {
    for name in AnyRule::NAMES {
        for preset in presets(name) {
            for option in preset.rule.options() {
                for value in domain(option).into_iter().flat_map(taken) {
                    let mut rule = preset.rule;
                    rule.set(option.name, value).unwrap();
                    assert_finite_or_refused(&rule, &format!("{} {}={value}", preset.label, option.name));
                }
            }
        }
    }
}

/// Without epsilon it is 0/0 in many rules, as in the frameworks; so it is in FTRL, where the accumulator begins at 0.
#[test]
fn zero_gradient_beside_an_epsilon_gives_finite_parameters() {
    for preset in AnyRule::NAMES.iter().filter(|name| **name != "ftrl").flat_map(|name| presets(name)) {
        for option in preset.rule.options().iter().filter(|option| option.name != "eps") {
            for value in domain(option).into_iter().flat_map(taken) {
                for eps in [1e-37, 1e-8, 1e9] {
                    let mut rule = preset.rule;
                    let _ = rule.set("eps", eps);
                    rule.set(option.name, value).unwrap();
                    let label = format!("{} {}={value}", preset.label, option.name);
                    assert_finite_or_refused_with(&rule, [0.0; 3], &label);
                }
            }
        }
    }
}

#[test]
fn every_two_numbers_give_finite_parameters() {
    for name in AnyRule::NAMES {
        for preset in presets(name) {
            let numbers = preset.rule.options().iter().filter(|option| domain(option).is_some());
            let settings =
                numbers.flat_map(|option| taken(domain(option).unwrap()).map(move |x| (option.name, x)));
            let settings: Vec<_> = settings.collect();
            for (i, (first, value)) in settings.iter().enumerate() {
                let mut one = preset.rule;
                one.set(first, *value).unwrap();
                for (second, other) in &settings[i + 1..] {
                    let mut rule = one;
                    rule.set(second, *other).unwrap();
                    assert_finite_or_refused(
                        &rule,
                        &format!("{} {first}={value} {second}={other}", preset.label),
                    );
                }
            }
        }
    }
}

/// Any number of a domain, of any size.
fn any_taken(domain: Domain) -> impl Strategy<Value = f64> {
    let any = prop_oneof![
        (-37.0..9.0).prop_map(|exponent| 10f64.powf(exponent)),
        (-16.0..0.0).prop_map(|exponent| 1.0 - 10f64.powf(exponent)),
        prop::sample::select(taken(domain).collect::<Vec<_>>()),
    ];
    any.prop_filter("outside the domain", move |x| domain.contains(*x))
}

fn configured(name: &str, which: prop::sample::Index) -> AnyRule {
    which.get(&configurations_of(name)).rule
}

fn any_number_of(rule: AnyRule) -> impl Strategy<Value = (&'static str, f64)> {
    let numbers = rule.options().iter().filter_map(|option| Some((option.name, domain(option)?)));
    let numbers = prop::sample::select(numbers.collect::<Vec<_>>());
    numbers.prop_flat_map(|(name, domain)| (Just(name), any_taken(domain)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// In any configuration.
    #[test]
    fn any_two_numbers_give_finite_parameters(
        (rule, first, second) in (prop::sample::select(AnyRule::NAMES), any::<prop::sample::Index>())
            .prop_map(|(name, which)| configured(name, which))
            .prop_flat_map(|rule| (Just(rule), any_number_of(rule), any_number_of(rule))),
    ) {
        let mut rule = rule;
        rule.set(first.0, first.1).unwrap();
        rule.set(second.0, second.1).unwrap();
        assert_finite_or_refused(&rule, &format!("{first:?} {second:?}"));
    }
}

#[test]
fn number_that_f32_would_lose_is_refused() {
    let lost = [1e-38, 1e-50, 1e-300, 5e-324, 1.0000001e9, 1e19, 1e39, 1e300, f64::MAX];
    for name in AnyRule::NAMES {
        let usual = AnyRule::named(name).unwrap();
        for option in usual.options() {
            let Some(domain) = domain(option) else { continue };
            for value in lost {
                let mut rule = usual;
                let refusal = rule.set(option.name, value).unwrap_err();
                let Error::OutOfRange { option: named, value: told, domain: wanted, .. } = refusal else {
                    panic!("{name} {}={value}: {refusal}", option.name);
                };
                assert_eq!((named, told), (option.name, value));
                assert_eq!(wanted, if domain.contains(value) { Domain::Moderate } else { domain });
                assert_eq!(rule, usual);
            }
        }
    }
    assert_eq!(
        Sgd::torch().lr(1e-50).unwrap_err().to_string(),
        "sgd: lr must be 0 or of a size from 1e-37 to 1e9, and is 1e-50"
            .replace("1e-50", &format!("{}", 1e-50))
    );
}

#[test]
fn value_is_taken_from_any_type_of_number() {
    let mut sgd = Sgd::torch();
    let mut lr_after =
        |set: &dyn Fn(&mut Sgd) -> Result<(), Error>| set(&mut sgd).map(|()| sgd.get("lr").unwrap());
    let one = gradstep::Value::Number(1.0);
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 1)), Ok(one));
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 1u8)), Ok(one));
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 1i64)), Ok(one));
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 1u32)), Ok(one));
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 1u64)), Ok(one));
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 1usize)), Ok(one));
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 0.25f32)), Ok(gradstep::Value::Number(0.25)));
    assert_eq!(lr_after(&|sgd| sgd.set("lr", 0.1f32)), Ok(gradstep::Value::Number(f64::from(0.1f32))));
    // What f64 does not hold exactly is far beyond every option.
    for refused in [
        lr_after(&|sgd| sgd.set("lr", (1u64 << 53) + 1)),
        lr_after(&|sgd| sgd.set("lr", i64::MIN)),
        lr_after(&|sgd| sgd.set("lr", usize::MAX)),
        lr_after(&|sgd| sgd.set("lr", -1)),
        lr_after(&|sgd| sgd.set("lr", f32::NAN)),
        lr_after(&|sgd| sgd.set("lr", f32::MIN_POSITIVE / 2.0)),
    ] {
        assert!(matches!(refused, Err(Error::OutOfRange { option: "lr", .. })), "{refused:?}");
    }
}
