//! A tensor's first step, whatever its number and whenever it comes: state that starts as a copy of the parameters, step numbers
//! of its own, averages that begin, refused and skipped steps that count nowhere.

use gradstep::{
    AdaGrad, AnyRule, Average, DoG, DoGInit, Error, Floats, FloatsMut, Format, Grads, Initial, Madgrad,
    NonFinite, Optimizer, Param, Pass, PassReport, Prodigy, Rule, ScheduleFreeSgd, Sgd, Tensor, Workers,
    Yogi, init_state, new_state, step,
};
use testkit::{Buffers, configurations_of, is_elementwise, presets, slices};

/// A tensor of one element with all that belongs to it.
#[derive(Clone)]
struct One {
    params: [f32; 1],
    grads: [f32; 1],
    state: Vec<Vec<f32>>,
    steps: u64,
}

impl One {
    fn new(rule: &impl Rule, param: f32) -> Self {
        Self { params: [param], grads: [0.0], state: new_state(rule, &[param]), steps: 0 }
    }

    fn tensor(&mut self) -> Tensor<'_> {
        Tensor::new(&mut self.params[..], &self.grads[..], slices(&mut self.state)).unwrap()
    }

    fn pass(&mut self, pass: &Pass, rule: &impl Rule, t: u64, grad: f32) -> PassReport {
        self.grads = [grad];
        Workers::serial().step_pass(pass, rule, t, &mut [self.tensor()]).unwrap()
    }

    /// The same with its steps counted.
    fn counted_pass(&mut self, pass: &Pass, rule: &impl Rule, grad: f32) {
        let Self { params, grads, state, steps } = self;
        *grads = [grad];
        let tensor = Tensor::new(&mut params[..], &grads[..], slices(state)).unwrap().counter(steps);
        // The number of the call is of no account.
        let _ = Workers::serial().step_pass(pass, rule, 77, &mut [tensor]).unwrap();
    }

    fn values(&self) -> Vec<u32> {
        self.params.iter().chain(self.state.iter().flatten()).map(|x| x.to_bits()).collect()
    }
}

fn all_rules() -> impl Iterator<Item = (String, AnyRule)> {
    AnyRule::NAMES.iter().flat_map(|name| configurations_of(name)).map(|one| (one.label, one.rule))
}

fn all_presets() -> impl Iterator<Item = (String, AnyRule)> {
    AnyRule::NAMES.iter().flat_map(|name| presets(name)).map(|one| (one.label, one.rule))
}

fn policies() -> [Pass; 2] {
    [NonFinite::Skip, NonFinite::Refuse].map(|policy| Pass::new().check(policy))
}

#[test]
fn zero_gradient_after_a_skipped_first_step_moves_no_parameter() {
    let rule = ScheduleFreeSgd::paper().lr(0.1).unwrap();
    for pass in policies() {
        let mut one = One::new(&rule, 5.0);
        assert_eq!(one.pass(&pass, &rule, 1, f32::NAN).stepped, 0);
        assert_eq!(one.pass(&pass, &rule, 2, 0.0).stepped, 1);
        assert_eq!((one.params, &one.state[0][..]), ([5.0], &[5.0][..]));
    }
}

#[test]
fn late_first_step_starts_from_the_parameter() -> Result<(), Error> {
    let (rule, mut params) = (Madgrad::paper(), [5.0]);
    let mut state = new_state(&rule, &params);
    let mut state = slices(&mut state);
    step(&rule, 3, &mut params, &[0.0], &mut state)?;
    assert_eq!(params, [5.0]);
    Ok(())
}

/// What one good step of .1 gives from 5, though the caller's own number is 2 by then.
#[test]
fn first_step_after_a_skipped_one_is_as_good() {
    for (name, expected) in [
        ("schedulefree_sgd", 4.9),
        ("schedulefree_adamw", 4.9975),
        ("dog", 4.999_994),
        ("adam", 4.999),
        ("adamw", 4.998_95),
        ("novograd", 4.999),
    ] {
        let rule = AnyRule::named(name).unwrap();
        for pass in policies() {
            let mut one = One::new(&rule, 5.0);
            one.counted_pass(&pass, &rule, f32::INFINITY);
            assert_eq!(one.steps, 0, "{name}");
            one.counted_pass(&pass, &rule, 0.1);
            assert_eq!(one.steps, 1, "{name}");
            let error = f64::from(one.params[0]) - expected;
            assert!(
                name == "schedulefree_sgd" && (one.params[0] - 4.99).abs() < 1e-6 || error.abs() < 2e-6,
                "{name}: {:?}",
                one.params
            );
        }
    }
}

/// For every configuration of every rule: with a counter of its own, a tensor that was skipped, refused or that joined late takes
/// the steps of one that was not, bit for bit.
#[test]
fn counted_tensor_is_not_changed_by_what_was_refused() {
    for (label, rule) in all_rules() {
        let (mut good, mut interrupted) = (One::new(&rule, 5.0), One::new(&rule, 5.0));
        for (t, grad) in (1..).zip([0.1, -0.2, 0.3]) {
            let _ = good.pass(&Pass::new(), &rule, t, grad);
            for pass in policies() {
                interrupted.counted_pass(&pass, &rule, f32::NAN);
            }
            interrupted.counted_pass(&policies()[0], &rule, grad);
            assert_eq!(interrupted.steps, t, "{label}");
            assert_eq!(good.values(), interrupted.values(), "{label} after {t} steps");
        }
    }
}

/// With the caller's number alone a rule that does not look at it takes the steps of one that was not interrupted, too; all
/// others at least move by no more than twice what they should, and stay where they are under a gradient of zero.
#[test]
fn first_step_under_a_later_number_destroys_no_parameter() {
    for (label, rule) in all_presets() {
        let (mut good, mut late) = (One::new(&rule, 5.0), One::new(&rule, 5.0));
        let _ = good.pass(&Pass::new(), &rule, 1, 0.1);
        let _ = late.pass(&policies()[0], &rule, 1, f32::NAN);
        let _ = late.pass(&policies()[0], &rule, 2, 0.1);
        let [should, did] = [&good, &late].map(|one| f64::from(5.0 - one.params[0]));
        let restarts = matches!(rule.name(), "ftrl" | "adopt");
        assert!(restarts || did.abs() <= 2.0 * should.abs() + 1e-6, "{label}: moved by {did}, not {should}");
    }
}

/// Tensors in one list with numbers of their own step as each would alone.
#[test]
fn tensors_of_a_list_have_their_own_numbers() {
    for (label, rule) in all_presets().filter(|(_, rule)| is_elementwise(rule)) {
        let (mut early, mut late) = (One::new(&rule, 5.0), One::new(&rule, -3.0));
        let (mut list_early, mut list_late) = (early.clone(), late.clone());
        let _ = early.pass(&Pass::new(), &rule, 1, 0.1);
        list_early.counted_pass(&Pass::new(), &rule, 0.1);
        let _ = early.pass(&Pass::new(), &rule, 2, 0.2);
        let _ = late.pass(&Pass::new(), &rule, 1, 0.3);
        (list_early.grads, list_late.grads) = ([0.2], [0.3]);
        let mut tensors = [&mut list_early, &mut list_late].map(|one| {
            let One { params, grads, state, steps } = one;
            Tensor::new(&mut *params, &*grads, slices(state)).unwrap().counter(steps)
        });
        Workers::serial().step_model(&rule, 50, &mut tensors).unwrap();
        assert_eq!((list_early.steps, list_late.steps), (2, 1));
        assert_eq!((early.values(), late.values()), (list_early.values(), list_late.values()), "{label}");
    }
}

#[test]
fn state_that_no_rule_starts_from_is_refused_at_the_first_step() -> Result<(), Error> {
    let (mut params, mut sum) = ([1.0; 3], [0.0; 3]);
    let refusal = step(&AdaGrad::keras(), 1, &mut params, &[1.0; 3], &mut [&mut sum]).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "before its first step, element 0 of sum must be 0.1 for adagrad, and is 0; init_state writes the state that a \
         rule starts from"
    );
    assert_eq!((params, sum), ([1.0; 3], [0.0; 3]));
    init_state(&AdaGrad::keras(), &params, &mut [&mut sum])?;
    step(&AdaGrad::keras(), 1, &mut params, &[1.0; 3], &mut [&mut sum])?;
    assert!(params[0] < 1.0);
    // Once it has begun, state is not looked at.
    step(&AdaGrad::keras(), 2, &mut params, &[1.0; 3], &mut [&mut sum])
}

/// Every slot of every rule, in a plain step, in a list, in a pass and in half precision.
#[test]
fn each_slot_is_looked_at_before_the_first_step() {
    for (label, rule) in all_presets() {
        for (place, slot) in rule.slots().iter().enumerate() {
            let mut one = One::new(&rule, 5.0);
            one.grads = [0.1];
            one.state[place][0] += 0.25;
            let before = one.values();
            let given = slot.initial == Initial::Caller;
            let refused = |result: Result<(), Error>| match result {
                Ok(()) => given,
                Err(Error::FirstState { slice, element: 0, .. }) => !given && slice == slot.name,
                Err(_) => false,
            };
            let One { params, grads, state, .. } = &mut one;
            let mut tensor = Tensor::new(&mut *params, &*grads, slices(state)).unwrap();
            let workers = Workers::serial();
            assert!(
                refused(workers.step_model(&rule, 1, std::slice::from_mut(&mut tensor))),
                "{label}: {slot:?}"
            );
            if given {
                continue;
            }
            let mut half = [0x40a0]; // 5 in bfloat16
            let params = FloatsMut::Half(Format::Bf16, &mut half);
            let mut tensor = Tensor::new(params, &grads[..], slices(state)).unwrap();
            let pass = workers.step_pass(&Pass::new(), &rule, 1, std::slice::from_mut(&mut tensor));
            assert!(refused(pass.map(drop)), "{label}: {slot:?}");
            tensor.init_state(&rule).unwrap();
            assert!(workers.step_pass(&Pass::new(), &rule, 1, &mut [tensor]).is_ok(), "{label}: {slot:?}");
            one.state[place][0] =
                f32::from_bits(before[1 + one.state[..place].iter().map(Vec::len).sum::<usize>()]);
        }
    }
}

#[test]
fn rules_that_start_elsewhere_than_at_zero_run_with_new_state() {
    for rule in [AnyRule::Prodigy(Prodigy::optax()), AnyRule::Yogi(Yogi::optax())] {
        let mut buffers = Buffers::new(&rule, vec![1.0; 20], vec![]);
        for t in 1..=100 {
            buffers.grads = buffers.params.iter().map(|p| 2.0 * p).collect();
            buffers.step(gradstep::Backend::detect(), &rule, t).unwrap();
        }
        assert!(buffers.params.iter().all(|p| p.is_finite()), "{rule:?}");
    }
}

/// The average of a run whose first steps are refused or skipped: the first that counts is copied.
#[test]
fn average_begins_with_the_first_step_that_counts() {
    let rule = Sgd::torch().lr(0.1).unwrap();
    for average in [Average::exponential(0.999).unwrap(), Average::mean(), Average::mean().every(3)] {
        for pass in policies().map(|pass| pass.average(average)) {
            let (mut params, mut held, mut averaged) = ([5.0_f32, 5.0], [0.0; 2], 0);
            let mut found = Vec::new();
            for (t, grads) in (1..).zip([[f32::INFINITY, 0.0], [0.0; 2], [0.0; 2], [0.0; 2]]) {
                let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap();
                let tensor = tensor.average(&mut held, &mut averaged);
                let _ = Workers::serial().step_pass(&pass, &rule, t, &mut [tensor]).unwrap();
                found.push(held);
            }
            assert_eq!(found, [[0.0; 2], [5.0; 2], [5.0; 2], [5.0; 2]], "{pass:?}");
        }
    }
}

#[test]
fn average_that_joins_an_optimizer_late_begins_with_a_copy() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Sgd::torch())?;
    let id = optimizer.register("weight", 1)?;
    let (workers, mut params) = (Workers::serial(), [5.0]);
    for _ in 0..5 {
        let params = &mut params;
        optimizer.step(&workers, &mut [Param::new(id, params, &[0.0])])?;
    }
    let pass = Pass::new().average(Average::exponential(0.999)?);
    let (mut average, mut averaged) = ([0.0], 0);
    for expected in 1..=2 {
        let tensor = Tensor::new(&mut params[..], &[0.0_f32][..], [])?;
        let tensor = tensor.average(&mut average, &mut averaged);
        let _ = optimizer.step_pass(&workers, &pass, &mut [Param { id, tensor }])?;
        assert_eq!((average, averaged), ([5.0], expected));
    }
    Ok(())
}

/// Half-precision gradients whose first scaled values overflow: the average ends near the parameters.
#[test]
fn average_of_mixed_precision_training_forgets_the_search_for_a_scale() -> Result<(), Error> {
    let mut scaler = gradstep::LossScaler::new();
    let (rule, mut params, mut t) = (Sgd::torch(), [1.0_f32], 1);
    let (mut average, mut averaged) = ([0.0], 0);
    for _ in 0..6 {
        let pass = Pass::new().loss_scale(scaler.scale())?.check(NonFinite::Refuse);
        let pass = pass.average(Average::exponential(0.999)?);
        let grads = [half::f16::from_f64(0.5 * scaler.scale() * 8.0).to_bits()];
        let grads = Grads::Read(Floats::Half(Format::F16, &grads));
        let tensor = Tensor::new(&mut params[..], grads, [])?.average(&mut average, &mut averaged);
        let report = Workers::serial().step_pass(&pass, &rule, t, &mut [tensor])?;
        t = report.next_step(t);
        scaler.update(report.refused);
    }
    assert!((average[0] - params[0]).abs() < 0.02, "{average:?} {params:?}");
    assert!(t < 7 && t == averaged + 1);
    Ok(())
}

/// An optimizer makes state right before the first step: from the options and the parameters of that moment.
#[test]
fn optimizer_makes_state_from_the_options_of_the_first_step() -> Result<(), Error> {
    for (name, option) in [
        ("rprop", "lr"),
        ("adagrad", "initial_accumulator_value"),
        ("yogi", "initial_accumulator_value"),
        ("prodigy", "d0"),
    ] {
        let rule = AnyRule::named(name)?;
        let mut changed = rule;
        changed.set(option, 0.5)?;
        let (mut late, mut early) = (Optimizer::new(rule)?, Optimizer::new(changed)?);
        let ids = [late.register("w", 1)?, early.register("w", 1)?];
        late.set_rule(Optimizer::<AnyRule>::FIRST_GROUP, changed)?;
        let paths = [&mut late, &mut early].into_iter().zip(ids).map(|(optimizer, id)| {
            let mut params = [1.0];
            for _ in 0..2 {
                let params = &mut params;
                optimizer.step(&Workers::serial(), &mut [Param::new(id, params, &[1.0])]).unwrap();
            }
            params
        });
        let paths: Vec<_> = paths.collect();
        assert_eq!(paths[0], paths[1], "{name}");
    }
    let mut optimizer = Optimizer::new(AnyRule::named("rprop")?)?;
    let (id, mut params) = (optimizer.register("w", 1)?, [1.0]);
    optimizer.set_lr(Optimizer::<AnyRule>::FIRST_GROUP, 0.5)?;
    optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut params, &[1.0])])?;
    assert_eq!(params, [0.5]);
    Ok(())
}

/// A refused pass leaves the state of a parameter that has never been stepped as it was, and the next one makes it.
#[test]
fn optimizer_makes_no_state_for_a_refused_step() -> Result<(), Error> {
    for (label, rule) in all_presets() {
        for policy in policies() {
            let mut optimizer = Optimizer::new(rule)?;
            let (id, mut one) = (optimizer.register("w", 1)?, One::new(&rule, 5.0));
            let mut params = [5.0_f32];
            for grad in [f32::NAN, 0.1, f32::NAN, 0.2] {
                let before =
                    optimizer.saved("w")?.state.flat_map(|(_, values)| values.to_vec()).collect::<Vec<_>>();
                let grads = [grad];
                let tensor = Tensor::new(&mut params[..], &grads[..], [])?;
                let report = optimizer.step_pass(&Workers::serial(), &policy, &mut [Param { id, tensor }])?;
                let after =
                    optimizer.saved("w")?.state.flat_map(|(_, values)| values.to_vec()).collect::<Vec<_>>();
                if report.stepped == 0 {
                    assert_eq!(before, after, "{label}");
                } else {
                    one.counted_pass(&policy, &rule, grad);
                }
            }
            assert_eq!((params, optimizer.saved("w")?.step), (one.params, 2), "{label}");
        }
    }
    Ok(())
}

/// DoG's other first steps.
#[test]
fn dog_begins_wherever_its_first_step_is() -> Result<(), Error> {
    for form in [DoGInit::Heuristic, DoGInit::Distance, DoGInit::LearningRate] {
        let rule = DoG::optax().init_step(0.25)?.init_step_form(form)?;
        let (mut good, mut late) = (One::new(&rule, 5.0), One::new(&rule, 5.0));
        for t in 1..5 {
            let _ = good.pass(&Pass::new(), &rule, t, 0.5);
            let _ = late.pass(&Pass::new(), &rule, t + 7, 0.5);
            assert_eq!(good.values(), late.values(), "{form:?} after {t}");
        }
    }
    Ok(())
}

#[test]
fn counter_at_its_end_stays_there() {
    for (label, rule) in all_presets() {
        let mut one = One::new(&rule, 5.0);
        one.steps = u64::MAX;
        one.counted_pass(&Pass::new(), &rule, 0.1);
        assert_eq!(one.steps, u64::MAX, "{label}");
        assert!(one.params[0].is_finite(), "{label}");
    }
}

#[test]
fn optimizer_refuses_a_counter_of_the_callers() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(Sgd::torch())?;
    let id = optimizer.register("weight", 1)?;
    let (mut params, mut steps) = ([5.0_f32], 3);
    let tensor = Tensor::new(&mut params[..], &[1.0_f32][..], [])?.counter(&mut steps);
    let refusal = optimizer.step_pass(&Workers::serial(), &Pass::new(), &mut [Param { id, tensor }]);
    assert!(matches!(refusal, Err(Error::Pass { .. })));
    assert_eq!((params, steps), ([5.0], 3));
    Ok(())
}
