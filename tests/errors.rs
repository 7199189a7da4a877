//! What is refused, what the refusal says, and that nothing has changed then.

use gradstep::{
    AdaGrad, Adam, AnyRule, Backend, Change, Domain, Error, Kernel, KernelVisitor, Kind, Lane, Optimizer,
    Options, Param, Pass, Rayon, Rule, Sgd, Slot, Tensor, Value, Workers, init_state, par_step, step, train,
};
use testkit::{Buffers, Random, configurations};

/// All threads, for short slices as well.
fn workers(backend: Backend) -> Workers<Rayon> {
    Workers::rayon().backend(backend).serial_below(0)
}

#[test]
fn a_wrong_length_names_the_slice_and_touches_nothing() {
    let mut random = Random(1);
    for configuration in configurations() {
        let rule = configuration.rule;
        for wrong in 0..=rule.slots().len() {
            let mut buffers = Buffers::random(&rule, 33, &mut random);
            let (slice, name) = match wrong {
                0 => (&mut buffers.grads, "grads"),
                slot => (&mut buffers.state[slot - 1], rule.slots()[slot - 1].name),
            };
            slice.pop();
            let before = buffers.bits();
            let expected = Error::Length { slice: name, expected: 33, found: 32 };
            for backend in Backend::available() {
                assert_eq!(buffers.step(backend, &rule, 1), Err(expected));
                assert_eq!(buffers.step_by(&workers(backend), &rule, 1), Err(expected));
            }
            assert_eq!(buffers.bits(), before);
        }
    }
}

#[test]
fn messages() {
    let mut five = [0.0; 5];
    let refusal =
        step(&Adam::torch(), 1, &mut five, &[0.0; 5], &mut [&mut [0.0; 5], &mut [0.0; 6]]).unwrap_err();
    assert_eq!(refusal.to_string(), "exp_avg_sq has 6 elements where there are 5 parameters");

    let refusal = step(&Adam::torch(), 1, &mut five, &[0.0; 5], &mut [&mut [0.0; 5]]).unwrap_err();
    assert_eq!(refusal.to_string(), "adam needs 2 state slices (exp_avg, exp_avg_sq) and was given 1");

    assert_eq!(
        Adam::torch().lr(-1.0).unwrap_err().to_string(),
        "adam: lr must be finite and 0 or above, and is -1"
    );
    assert_eq!(
        Adam::torch().beta1(1.0).unwrap_err().to_string(),
        "adam: beta1 must be 0 or above and below 1, and is 1"
    );
    assert_eq!(
        AnyRule::named("adamm").unwrap_err().to_string(),
        format!("there is no rule \"adamm\"; there are {}", AnyRule::NAMES.join(", "))
    );
    assert_eq!(
        AnyRule::preset("sgd", "burn").unwrap_err().to_string(),
        "sgd has no preset \"burn\"; it has torch, keras, optax"
    );
    assert_eq!(
        Backend::named("mmx").unwrap_err().to_string(),
        "there is no backend \"mmx\"; there are scalar, wide, avx2, avx512"
    );
}

#[test]
fn step_zero_is_refused() {
    let mut params = [1.0];
    assert_eq!(step(&Sgd::torch(), 0, &mut params, &[1.0], &mut []), Err(Error::StepZero));
    assert_eq!(par_step(&Sgd::torch(), 0, &mut params, &[1.0], &mut []), Err(Error::StepZero));
    assert_eq!(params, [1.0]);
}

#[test]
fn empty_slices_are_fine() {
    for configuration in configurations() {
        let mut buffers = Buffers::new(&configuration.rule, vec![], vec![]);
        assert_eq!(buffers.step(Backend::detect(), &configuration.rule, 1), Ok(()));
        assert_eq!(buffers.step_by(&workers(Backend::detect()), &configuration.rule, 1), Ok(()));
    }
}

/// Names that stand for presets of another rule.
const PRESETS_OF: &[(&str, &str)] =
    &[("sgdw", "momentum"), ("adamw", "adam"), ("nadamw", "nadam"), ("amsbound", "adabound")];

#[test]
fn numbers_outside_their_domain() {
    for name in AnyRule::NAMES {
        let rule = AnyRule::named(name).unwrap();
        for option in rule.options() {
            let Kind::Number(domain) = option.kind else { continue };
            let mut outside = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            outside.extend([-1.0, -1e-300, 1.0, 1.1].into_iter().filter(|x| !domain.contains(*x)));
            assert!(outside.len() > 3 || domain == Domain::Finite);
            for value in outside {
                let mut changed = rule;
                match changed.set(option.name, value) {
                    Err(Error::OutOfRange { rule: of, option: found, value: told, domain: allowed }) => {
                        // AdamW is Adam with other defaults, and says so; likewise some others.
                        assert!(of == *name || PRESETS_OF.contains(&(*name, of)), "{name}: {of}");
                        assert_eq!((found, told.to_bits(), allowed), (option.name, value.to_bits(), domain));
                    }
                    other => panic!("{name}.{} = {value}: {other:?}", option.name),
                }
                assert_eq!(changed, rule);
            }
        }
    }
}

#[test]
fn every_option_is_set_and_got_by_name() {
    for name in AnyRule::NAMES {
        let usual = AnyRule::named(name).unwrap();
        for option in usual.options() {
            let values: Vec<Value<'static>> = match option.kind {
                Kind::Number(domain) => {
                    [0.0, 0.5, 1.5].into_iter().filter(|x| domain.contains(*x)).map(Value::Number).collect()
                }
                Kind::Flag => vec![Value::Flag(false), Value::Flag(true)],
                Kind::Choice(words) => words.iter().map(|word| Value::Choice(word)).collect(),
            };
            for value in values {
                let mut rule = usual;
                rule.set(option.name, value).unwrap();
                assert_eq!(rule.get(option.name), Some(value));
            }
        }
    }
}

#[test]
fn what_a_rule_does_not_have_is_an_error() {
    let mut rule = AnyRule::named("adam").unwrap();
    let refusal = rule.set("nesterov", true).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "adam has no option \"nesterov\"; it has lr, beta1, beta2, eps, eps_place, eps_root, amsgrad, \
         bias_correction1, bias_correction2, weight_decay, decay, maximize, l1, l1_form, cautious, cautious_decay"
    );
    assert_eq!(rule.get("nesterov"), None);

    let refusal = rule.set("amsgrad", true).unwrap_err();
    assert_eq!(refusal.to_string(), "adam: amsgrad takes one of off, raw, corrected, and was given \"true\"");
    let refusal = rule.set("amsgrad", "max").unwrap_err();
    assert_eq!(refusal.to_string(), "adam: amsgrad takes one of off, raw, corrected, and was given \"max\"");
    let refusal = rule.set("lr", "big").unwrap_err();
    assert_eq!(refusal.to_string(), "adam: lr takes a number, finite and 0 or above, and was given \"big\"");
    assert_eq!(rule, AnyRule::named("adam").unwrap());

    // The typed rules are reached by name as well.
    let mut sgd = Sgd::torch();
    assert!(matches!(Options::set(&mut sgd, "momentum", 0.9), Err(Error::UnknownOption { .. })));
}

#[test]
fn a_long_unknown_name_is_cut_between_characters() {
    let name = "ü".repeat(30);
    let message = AnyRule::named(&name).unwrap_err().to_string();
    assert!(message.starts_with(&format!("there is no rule \"…{}\";", "ü".repeat(22))), "{message}");
}

#[test]
fn initial_state() {
    let rule = AdaGrad::keras();
    let mut sum = [7.0; 3];
    init_state(&rule, &[0.0; 3], &mut [&mut sum]).unwrap();
    assert_eq!(sum, [0.1; 3]);
    assert!(matches!(init_state(&rule, &[0.0; 3], &mut []), Err(Error::StateCount { found: 0, .. })));
    let length = Err(Error::Length { slice: "sum", expected: 2, found: 3 });
    assert_eq!(init_state(&rule, &[0.0; 2], &mut [&mut sum]), length);
}

/// Says that it has no state, and computes with one slice of it.
#[derive(Clone, Copy)]
struct Liar;

impl Kernel<1> for Liar {
    fn update<L: Lane>(self, p: L, _: L, state: [L; 1]) -> (Change<L>, [L; 1]) {
        (Change::To(p + 1.0), state)
    }
}

impl Rule for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn slots(&self) -> &'static [Slot] {
        &[]
    }

    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(*self)
    }
}

#[test]
fn a_rule_that_contradicts_itself() {
    let mut params = [1.0];
    let expected = Err(Error::KernelState { rule: "liar", named: 0, taken: 1 });
    assert_eq!(step(&Liar, 1, &mut params, &[1.0], &mut []), expected);
    assert_eq!(par_step(&Liar, 1, &mut params, &[1.0], &mut []), expected);
    assert_eq!(params, [1.0]);
}

#[test]
fn training_plans() {
    let mut params = [1.0];
    let mut minimize =
        |plan: train::Plan| train::minimize(&Sgd::torch(), &plan, &mut params, 4, |_, _, _| 0.0);
    let plan = train::Plan::default();
    let refusal = minimize(train::Plan { batch: train::Batch::Mini(0), ..plan }).unwrap_err();
    assert_eq!(refusal, Error::EmptyBatch);
    for plan in [
        train::Plan { loss_below: Some(f64::NAN), ..plan },
        train::Plan { grad_norm_below: Some(-1.0), ..plan },
        train::Plan { min_improvement: f64::INFINITY, ..plan },
    ] {
        assert!(matches!(minimize(plan), Err(Error::OutOfRange { rule: "train", .. })));
    }
}

/// A host may set flush-to-zero for its own ends. Builds with debug assertions, as this one, notice.
#[cfg(target_arch = "x86_64")]
#[test]
fn host_that_flushes_subnormals_is_noticed_in_every_build() {
    let (rule, mut params, grads) = (Sgd::torch().lr(1.0).unwrap(), [1.0], [1.0]);
    let mut optimizer = Optimizer::new(rule).unwrap();
    let id = optimizer.register("w", 1).unwrap();
    let workers = Workers::serial();
    let refusals = no_denormals::no_denormals(|| {
        let params = &mut params;
        let plain = step(&rule, 1, params, &grads, &mut []);
        let model = workers.step_model(&rule, 1, &mut [Tensor::new(&mut *params, &grads, []).unwrap()]);
        let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap();
        let pass = workers.step_pass(&Pass::new(), &rule, 1, &mut [tensor]).map(drop);
        let list = &mut [Param::new(id, params, &grads)];
        [plain, model, pass, optimizer.step(&workers, list).map(drop)]
    });
    assert_eq!(refusals, [Err(Error::FlushedSubnormals); 4]);
    assert!(
        Error::FlushedSubnormals.to_string().starts_with("this thread flushes subnormal numbers to zero")
    );
    assert_eq!(params, [1.0]);
    step(&rule, 1, &mut params, &grads, &mut []).unwrap();
    assert_eq!(params, [0.0]);
}

#[test]
fn host_that_flushes_on_purpose_is_served() {
    let (rule, mut params) = (Sgd::torch().lr(1.0).unwrap(), [1.0]);
    let workers = Workers::serial().flushing_host();
    no_denormals::no_denormals(|| workers.step(&rule, 1, &mut params, &[1.0], &mut [])).unwrap();
    assert_eq!(params, [0.0]);
}
