//! The optimizer: each parameter as if stepped alone, skipped and late ones, names, and resuming bit for bit.

use gradstep::{
    AdaGrad, Adam, AdamW, AnyRule, Backend, Error, GroupId, Momentum, Optimizer, Param, ParamId, Pass, Rule,
    Saved, Scope, Sgd, StateKind, Tensor, Workers, new_state,
};
use proptest::prelude::*;
use testkit::{Buffers, Random, bits, configurations_of, signed};

/// A model's parameters and gradients, with the numbers that an optimizer gave them.
struct Model {
    ids: Vec<ParamId>,
    params: Vec<Vec<f32>>,
    grads: Vec<Vec<f32>>,
}

impl Model {
    fn new(shapes: &[usize], seed: u64) -> Self {
        let mut random = Random(seed);
        let mut values = |len: &usize| signed(*len, &mut random);
        let params = shapes.iter().map(&mut values).collect();
        Self { ids: vec![], params, grads: shapes.iter().map(values).collect() }
    }

    fn register<R: Rule>(&mut self, optimizer: &mut Optimizer<R>) {
        for (number, params) in self.params.iter().enumerate() {
            self.ids.push(optimizer.register(&format!("p{number}"), params.len()).unwrap());
        }
    }

    /// The parameters for which `has_grad` says so.
    fn list(&mut self, has_grad: impl Fn(usize) -> bool) -> Vec<Param<'_>> {
        let zipped = self.ids.iter().zip(&mut self.params).zip(&self.grads).enumerate();
        zipped
            .filter(|(number, _)| has_grad(*number))
            .map(|(_, ((&id, params), grads))| Param::new(id, params, grads))
            .collect()
    }
}

fn any_rule() -> impl Strategy<Value = AnyRule> {
    // Rules that look at all tensors together do not step each as if alone.
    let apart = |name: &&str| {
        AnyRule::named(name).unwrap().measures().is_none_or(|measures| measures.scope() == Scope::Tensor)
    };
    let names: Vec<_> = AnyRule::NAMES.iter().copied().filter(apart).collect();
    (prop::sample::select(names), any::<prop::sample::Index>())
        .prop_map(|(name, index)| index.get(&configurations_of(name)).rule)
}

/// What a checkpoint holds of one parameter: its name, its counter, and its state under the slices' names.
type Checkpoint = (String, u64, Vec<(&'static str, Vec<f32>)>);

fn checkpoint<R: Rule>(optimizer: &Optimizer<R>) -> Vec<Checkpoint> {
    let copy = |state: (&'static str, &[f32])| (state.0, state.1.to_vec());
    optimizer
        .save()
        .map(|saved| (saved.name.to_owned(), saved.step, saved.state.map(copy).collect()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any mixture of groups, orders and skipped parameters: each parameter goes its own way.
    #[test]
    fn each_parameter_is_stepped_as_if_alone(
        rules in prop::collection::vec(any_rule(), 1..4),
        shapes in prop::collection::vec(prop_oneof![4 => 0usize..200, 1 => 1000usize..60_000], 1..8),
        seed: u64,
    ) {
        let mut optimizer = Optimizer::new(rules[0]).unwrap();
        let groups: Vec<GroupId> = rules[1..].iter().map(|&rule| optimizer.add_group(rule).unwrap()).collect();
        let groups = [&[Optimizer::<AnyRule>::FIRST_GROUP], &groups[..]].concat();
        let mut model = Model::new(&shapes, seed);
        let mut alone = vec![];
        for (number, &len) in shapes.iter().enumerate() {
            let group = number % groups.len();
            model.ids.push(optimizer.register_in(groups[group], &format!("p{number}"), len).unwrap());
            let buffers = Buffers::new(&rules[group], model.params[number].clone(), model.grads[number].clone());
            alone.push((buffers, rules[group], 0));
        }
        let workers = Workers::rayon().serial_below(0);
        let mut random = Random(seed);
        for _ in 0..4 {
            let skipped = random.below(shapes.len());
            let mut list = model.list(|number| number != skipped);
            list.rotate_left(skipped);
            optimizer.step(&workers, &mut list).unwrap();
            for (number, (buffers, rule, step)) in alone.iter_mut().enumerate() {
                if number != skipped {
                    *step += 1;
                    buffers.step(Backend::SCALAR, rule, *step).unwrap();
                }
            }
        }
        for ((number, (buffers, _, step)), saved) in alone.iter().enumerate().zip(checkpoint(&optimizer)) {
            if *step == 0 {
                continue; // Its state is still to be made.
            }
            let state = saved.2.into_iter().map(|(_, values)| values).collect();
            let found = Buffers { params: model.params[number].clone(), grads: vec![], state };
            prop_assert_eq!(found.bits(), buffers.bits());
            prop_assert_eq!(saved.1, *step);
        }
    }

    /// Saved after some steps and loaded into a new optimizer, a run goes on as if nothing had been.
    #[test]
    fn resuming_changes_no_bit(rule in any_rule(), shapes in prop::collection::vec(0usize..200, 1..5), seed: u64) {
        let mut unbroken = Model::new(&shapes, seed);
        let mut optimizer = Optimizer::new(rule).unwrap();
        unbroken.register(&mut optimizer);
        let workers = Workers::serial();
        for _ in 0..3 {
            optimizer.step(&workers, &mut unbroken.list(|_| true)).unwrap();
        }

        let mut resumed = Model { params: unbroken.params.clone(), ..Model::new(&shapes, seed) };
        let mut second = Optimizer::new(rule).unwrap();
        resumed.register(&mut second);
        for (name, step, state) in checkpoint(&optimizer) {
            let state: Vec<_> = state.iter().map(|(slot, values)| (*slot, &values[..])).collect();
            let made_by = &StateKind::of(&rule).to_string();
            second.load(&name, &Saved { made_by, step, state: &state }).unwrap();
        }
        for _ in 0..3 {
            optimizer.step(&workers, &mut unbroken.list(|_| true)).unwrap();
            second.step(&workers, &mut resumed.list(|_| true)).unwrap();
        }
        prop_assert_eq!(bits(&unbroken.params.concat()), bits(&resumed.params.concat()));
    }
}

#[test]
fn a_late_parameter_has_its_own_counter() -> Result<(), Error> {
    let rule = Adam::torch().lr(0.1)?;
    let mut optimizer = Optimizer::new(rule)?;
    let early = optimizer.register("early", 1)?;
    let (mut a, mut b) = ([1.0], [1.0]);
    let workers = Workers::serial();
    for _ in 0..10 {
        optimizer.step(&workers, &mut [Param::new(early, &mut a, &[1.0])])?;
    }
    let late = optimizer.register("late", 1)?;
    let report = optimizer.step(&workers, &mut [Param::new(late, &mut b, &[1.0])])?;
    assert_eq!((report.stepped, report.skipped, report.elements), (1, 1, 1));
    // Its first step is corrected as a first step: lr, whatever the gradient.
    assert!((b[0] - 0.9).abs() < 1e-6, "{b:?}");
    assert_eq!((optimizer.saved("early")?.step, optimizer.saved("late")?.step), (10, 1));
    Ok(())
}

#[test]
fn learning_rates_are_the_groups_own() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AnyRule::Sgd(Sgd::torch().lr(1.0)?))?;
    let first = Optimizer::<AnyRule>::FIRST_GROUP;
    let second = optimizer.add_group(AnyRule::Momentum(Momentum::torch().lr(0.5)?))?;
    let a = optimizer.register("a", 1)?;
    let b = optimizer.register_in(second, "b", 1)?;
    optimizer.set_lr(first, 0.25)?;
    assert_eq!((optimizer.lr(first)?, optimizer.lr(second)?), (0.25, 0.5));
    assert!(matches!(optimizer.set_lr(second, -1.0), Err(Error::OutOfRange { .. })));

    let (mut p, mut q) = ([0.0], [0.0]);
    optimizer
        .step(&Workers::serial(), &mut [Param::new(b, &mut q, &[1.0]), Param::new(a, &mut p, &[1.0])])?;
    assert_eq!((p, q), ([-0.25], [-0.5]));
    Ok(())
}

#[test]
fn state_is_read_by_name_and_starts_as_the_rule_says() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AdaGrad::keras())?;
    let id = optimizer.register("w", 3)?;
    let mut params = [1.0; 3];
    optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut params, &[0.0; 3])])?;
    let (slot, values) = optimizer.saved("w")?.state.next().unwrap();
    assert_eq!((slot, values), ("sum", &new_state(&AdaGrad::keras(), &params)[0][..]));
    Ok(())
}

#[test]
fn state_slices_start_at_cache_lines() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AdamW::torch())?;
    for len in [1, 17, 1000] {
        optimizer.register(&len.to_string(), len)?;
    }
    for saved in optimizer.save() {
        for (_, values) in saved.state {
            assert_eq!(values.as_ptr().addr() % 64, 0);
        }
    }
    Ok(())
}

#[test]
fn refusals_change_nothing() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AdamW::torch())?;
    let a = optimizer.register("a", 2)?;
    let b = optimizer.register("b", 3)?;
    let before = checkpoint(&optimizer);
    let (mut p, mut q) = ([1.0; 3], [1.0; 3]);
    let workers = Workers::serial();

    let mut tied = [Param::new(a, &mut p[..2], &[1.0; 2]), Param::new(a, &mut q[..2], &[1.0; 2])];
    let refusal = optimizer.step(&workers, &mut tied).unwrap_err();
    assert_eq!(refusal.to_string(), "parameter \"a\" was passed twice in one step");

    let mut short = [Param::new(a, &mut p[..2], &[1.0; 2]), Param::new(b, &mut q, &[1.0; 2])];
    let refusal = optimizer.step(&workers, &mut short).unwrap_err();
    assert_eq!(refusal.to_string(), "tensor \"b\": grads has 2 elements where there are 3 parameters");

    let mut long = [Param::new(a, &mut p, &[1.0; 2])];
    let refusal = optimizer.step(&workers, &mut long).unwrap_err();
    assert_eq!(refusal.to_string(), "tensor \"a\": params has 3 elements where there are 2 parameters");

    let mut other = Optimizer::new(AdamW::torch())?;
    for name in ["x", "y", "z"] {
        other.register(name, 1)?;
    }
    let mut foreign = [Param::new(other.id("z")?, &mut p[..1], &[1.0])];
    let refusal = optimizer.step(&workers, &mut foreign).unwrap_err();
    assert_eq!(refusal.to_string(), "parameter #2 was registered with another optimizer");

    assert_eq!(optimizer.register("a", 2).unwrap_err().to_string(), "there is a parameter \"a\" already");
    assert_eq!(optimizer.id("c").unwrap_err().to_string(), "the optimizer has no parameter \"c\"");
    for len in [usize::MAX, isize::MAX as usize / 8] {
        let refusal = optimizer.register("c", len).unwrap_err();
        let reason = format!("there is no memory for the state of parameter \"c\", which has {len} elements");
        assert_eq!(refusal.to_string(), reason);
        assert!(optimizer.id("c").is_err());
    }
    let amsgrad = Adam::torch().amsgrad(gradstep::AmsGrad::Raw)?;
    let refusal = optimizer.set_rule(Optimizer::<Adam>::FIRST_GROUP, amsgrad).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the group's state was made by adam (exp_avg, exp_avg_sq) and the rule needs that of adam/raw (exp_avg, \
         exp_avg_sq, max_exp_avg_sq); `convert` carries a run over to another convention"
    );
    assert_eq!((p, q), ([1.0; 3], [1.0; 3]));
    assert_eq!(checkpoint(&optimizer), before);
    Ok(())
}

#[test]
fn one_name_may_stand_for_a_slice_or_for_a_scalar() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AnyRule::named("adam")?)?;
    optimizer.register("a", 2)?;
    let before = checkpoint(&optimizer);
    let refusal =
        optimizer.set_rule(Optimizer::<AnyRule>::FIRST_GROUP, AnyRule::named("novograd")?).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the group's state was made by adam (exp_avg, exp_avg_sq) and the rule needs that of novograd (exp_avg, \
         exp_avg_sq)"
    );
    assert_eq!(checkpoint(&optimizer), before);
    Ok(())
}

#[test]
fn a_counter_at_its_end_stays_there() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AdamW::torch())?;
    let id = optimizer.register("a", 1)?;
    let state: &[(&str, &[f32])] = &[("exp_avg", &[0.0]), ("exp_avg_sq", &[0.0])];
    optimizer.load("a", &Saved { made_by: "adam", step: u64::MAX, state })?;
    let (workers, mut params) = (Workers::serial(), [1.0]);
    optimizer.step(&workers, &mut [Param::new(id, &mut params, &[1.0])])?;
    let tensor = Tensor::new(&mut params[..], &[1.0][..], [])?;
    let _ = optimizer.step_pass(&workers, &Pass::new(), &mut [Param { id, tensor }])?;
    assert_eq!(optimizer.saved("a")?.step, u64::MAX);
    assert!(params[0] < 1.0, "{params:?}");
    Ok(())
}

#[test]
fn saved_state_must_be_whole() -> Result<(), Error> {
    let mut optimizer = Optimizer::new(AdamW::torch())?;
    optimizer.register("a", 2)?;
    let before = checkpoint(&optimizer);
    let two: &[f32] = &[1.0; 2];
    for (state, message) in [
        (&[("exp_avg", two)][..], "parameter \"a\": \"exp_avg_sq\" is missing or superfluous"),
        (
            &[("exp_avg", two), ("exp_avg_sq", two), ("step", two)],
            "parameter \"a\": \"step\" is missing or superfluous",
        ),
        (&[("exp_avg", two), ("exp_avg", two)], "parameter \"a\": \"exp_avg\" is missing or superfluous"),
        (&[("exp_avg", two), ("exp_avg_sq", &[1.0])], "tensor \"a\": exp_avg_sq has 1 elements"),
    ] {
        let refusal =
            optimizer.load("a", &Saved { made_by: "adam", step: 5, state }).unwrap_err().to_string();
        assert!(refusal.starts_with(message), "{refusal}");
    }
    assert!(matches!(
        optimizer.load("b", &Saved { made_by: "adam", step: 5, state: &[] }),
        Err(Error::UnknownParam { .. })
    ));
    assert_eq!(checkpoint(&optimizer), before);

    // In any order.
    let state: &[(&str, &[f32])] = &[("exp_avg_sq", &[3.0, 4.0]), ("exp_avg", two)];
    optimizer.load("a", &Saved { made_by: "adam", step: 5, state })?;
    assert_eq!(
        checkpoint(&optimizer),
        [("a".to_owned(), 5, vec![("exp_avg", vec![1.0; 2]), ("exp_avg_sq", vec![3.0, 4.0])])]
    );
    Ok(())
}
