//! Numbers that a rule shares among all tensors (an estimate of the distance, a total of squares): they do not depend on the
//! order of the list, and nothing that one tensor misses is forgotten.

use gradstep::{AnyRule, NonFinite, Optimizer, Param, Pass, Rule, Saved, StateKind, Workers, full_slots};
use testkit::{Buffers, sharing};

/// A tensor of one element.
fn one(rule: &AnyRule, param: f32, grad: f32) -> Buffers {
    Buffers::new(rule, vec![param], vec![grad])
}

/// What the rule shares.
fn shared<'a>(rule: &AnyRule, buffers: &'a Buffers) -> &'a [Vec<f32>] {
    &buffers.state[full_slots(rule.slots())..]
}

/// Steps two tensors under these gradients, listed in one order or the other.
fn run(rule: &AnyRule, grads: [&[f32]; 2], reversed: bool) -> [Buffers; 2] {
    let mut model = [one(rule, 1.0, 0.0), one(rule, 2.0, 0.0)];
    let pass = Pass::new().check(NonFinite::Skip);
    for t in 0..grads[0].len() {
        model.iter_mut().zip(grads).for_each(|(one, grads)| one.grads[0] = grads[t]);
        let mut list = model.each_mut().map(Buffers::pass_tensor);
        if reversed {
            list.reverse();
        }
        let _ = Workers::serial().step_pass(&pass, rule, t as u64 + 1, &mut list).unwrap();
    }
    model
}

#[test]
fn total_of_squares_forgets_no_step_that_a_tensor_missed() {
    let rule = AnyRule::named("dog").unwrap();
    for reversed in [false, true] {
        let model = run(&rule, [&[1.0, f32::NAN, 1.0], &[1.0; 3]], reversed);
        for one in &model {
            assert_eq!(one.state[2], [5.0, 0.0], "reversed: {reversed}");
        }
    }
}

#[test]
fn order_of_a_list_with_skipped_tensors_changes_no_bit() {
    for rule in sharing() {
        let grads: [&[f32]; 2] =
            [&[0.5, f32::NAN, 0.25, -0.5, f32::INFINITY, 1.0], &[1.0, 0.5, f32::NAN, 0.75, 0.5, -1.0]];
        let [[a, b], [c, d]] = [run(&rule, grads, false), run(&rule, grads, true)];
        for (one, other) in [(&a, &c), (&b, &d)] {
            assert_eq!((&one.params, &one.state), (&other.params, &other.state), "{rule:?}");
        }
        assert_eq!(shared(&rule, &a), shared(&rule, &b), "{rule:?}");
    }
}

/// A tensor that joins late, or is not in every list, goes on from what the others have found.
#[test]
fn tensor_that_joins_late_takes_over_what_the_others_share() {
    for rule in sharing() {
        for reversed in [false, true] {
            let (mut early, mut late) = (one(&rule, 1.0, 0.5), one(&rule, 2.0, 0.5));
            let mut steps = [0, 0];
            for t in 1..=4 {
                let [early_steps, late_steps] = &mut steps;
                let mut list = vec![early.tensor().counter(early_steps)];
                if t > 2 {
                    list.push(late.tensor().counter(late_steps));
                }
                if reversed {
                    list.reverse();
                }
                Workers::serial().step_model(&rule, 1, &mut list).unwrap();
                if t > 2 {
                    drop(list);
                    assert_eq!(shared(&rule, &early), shared(&rule, &late), "{rule:?}");
                }
            }
            assert_eq!(steps, [4, 2]);
        }
    }
}

fn max_dist(optimizer: &Optimizer<AnyRule>, name: &str) -> f32 {
    optimizer.saved(name).unwrap().state.find(|(slot, _)| *slot == "max_dist").unwrap().1[0]
}

/// Gradient descent on the squares of two parameters of two elements, the first of which misses some steps.
fn descent(rule: AnyRule, misses: impl Fn(usize) -> bool) -> Optimizer<AnyRule> {
    let mut optimizer = Optimizer::new(rule).unwrap();
    let ids = ["a", "b"].map(|name| optimizer.register(name, 2).unwrap());
    let (mut a, mut b) = ([1.0_f32; 2], [2.0_f32; 2]);
    for t in 1..=50 {
        let (grad_a, grad_b) = (a.map(|p| 2.0 * p), b.map(|p| 2.0 * p));
        let mut list = vec![Param::new(ids[1], &mut b, &grad_b)];
        if !misses(t) {
            list.push(Param::new(ids[0], &mut a, &grad_a));
        }
        optimizer.step(&Workers::serial(), &mut list).unwrap();
    }
    optimizer
}

#[test]
fn group_keeps_one_estimate_when_a_gradient_is_missing() {
    let rule = AnyRule::named("dog").unwrap();
    let [whole, missed] = [descent(rule, |_| false), descent(rule, |t| t == 3)];
    assert!((max_dist(&whole, "a") - 0.110).abs() < 0.002, "{}", max_dist(&whole, "a"));
    assert_eq!(max_dist(&missed, "a"), max_dist(&missed, "b"));
    assert!(max_dist(&missed, "b") > 0.09, "{}", max_dist(&missed, "b"));
}

#[test]
fn every_parameter_of_a_group_has_the_groups_numbers() {
    for rule in sharing() {
        for misses in [3, 1, 50] {
            let optimizer = descent(rule, |t| t == misses || t % 7 == 5);
            let shared = |name| -> Vec<Vec<f32>> {
                let state = optimizer.saved(name).unwrap().state;
                state.skip(full_slots(rule.slots())).map(|(_, values)| values.to_vec()).collect()
            };
            assert_eq!(shared("a"), shared("b"), "{rule:?}");
        }
    }
}

/// A run that is saved in the midst of missing gradients goes on as the unbroken one, whichever of its parameters come first.
#[test]
fn resumed_group_goes_on_from_its_newest_numbers() {
    for rule in sharing() {
        for a_misses in [false, true] {
            let mut unbroken = descent(rule, |t| t > 20 && a_misses);
            let mut resumed = Optimizer::new(rule).unwrap();
            let ids = ["b", "a"].map(|name| resumed.register(name, 2).unwrap());
            for saved in unbroken.save() {
                let made_by = &StateKind::of(&rule).to_string();
                let state = &saved.state.collect::<Vec<_>>();
                resumed.load(saved.name, &Saved { made_by, step: saved.step, state }).unwrap();
            }
            let late = [unbroken.register("late", 1).unwrap(), resumed.register("late", 1).unwrap()];
            let old = ["b", "a"].map(|name| unbroken.id(name).unwrap());
            // First the late one alone, which has nothing of its own to go on from.
            let both = [(&mut unbroken, old, late[0]), (&mut resumed, ids, late[1])];
            let [one, other] = both.map(|(optimizer, [b, a], late)| {
                let (mut p, mut q, mut r) = ([3.0], [2.0; 2], [1.0; 2]);
                for round in 0..3 {
                    let mut list = vec![Param::new(late, &mut p, &[0.5])];
                    if round > 0 {
                        list.push(Param::new(b, &mut q, &[0.2; 2]));
                    }
                    if round > 1 {
                        list.push(Param::new(a, &mut r, &[0.1; 2]));
                    }
                    optimizer.step(&Workers::serial(), &mut list).unwrap();
                }
                (p, q, r, optimizer.saved("late").unwrap().state.map(|(_, x)| x.to_vec()).collect::<Vec<_>>())
            });
            assert_eq!(one, other, "{rule:?}");
            assert!(one.0[0].is_finite());
        }
    }
}

/// From where 2^40 steps have led, totals still grow by what is added.
#[test]
fn totals_stay_right_after_two_to_the_fortieth_steps() {
    let before = f64::from(1u32 << 20) * f64::from(1u32 << 20);
    let grown = |name: &str, by: f64, options: &[(&str, f64)]| {
        let mut rule = AnyRule::named(name).unwrap();
        options.iter().for_each(|&(option, value)| rule.set(option, value).unwrap());
        let total = rule.slots().iter().position(|slot| slot.len(9) == 2).unwrap();
        let mut one = one(&rule, 1.0, 1.0);
        one.state[total] = vec![(before * by) as f32, (before * by - f64::from((before * by) as f32)) as f32];
        // The largest distance and learning rate so far.
        for (slot, slice) in rule.slots().iter().zip(&mut one.state) {
            match slot.name {
                "max_dist" | "max_sq_dist" => slice[0] = 1.0,
                "lr_max" => slice[0] = 0.0025,
                _ => {}
            }
        }
        let first = one.state[total].clone();
        for t in 0..1000 {
            Workers::serial().step_model(&rule, (1 << 40) + t, &mut [one.tensor()]).unwrap();
        }
        let sum = |parts: &[f32]| parts.iter().map(|&part| f64::from(part)).sum::<f64>();
        (sum(&one.state[total]) - sum(&first)) / by
    };
    for (name, by, options) in [
        ("dog", 1.0, &[][..]),
        ("dowg", 1.0, &[]),
        ("schedulefree_sgd", 0.0025f64.powi(2), &[("lr", 0.0025)]),
        ("schedulefree_adamw", 0.0025f64.powi(2), &[("lr", 0.0025)]),
    ] {
        let found = grown(name, by, options);
        assert!((found - 1000.0).abs() < 5.0, "{name}: grew by {found} instead of 1000 units");
    }
}
