//! Many tensors in one call: the bits of each stepped alone, whoever works on them and however they are shared out.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use gradstep::{
    AnyRule, Backend, Change, Error, Join, Kernel, KernelVisitor, Lane, Momentum, Rayon, Rule, Scope, Serial,
    Sgd, Slot, Tensor, Workers,
};
use proptest::prelude::*;
use testkit::{Buffers, Random, bits_of_model, configurations_of, tensors};

/// A host's own pool: threads of its own.
struct Scoped(usize);

impl Join for Scoped {
    fn threads(&self) -> usize {
        self.0
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        thread::scope(|scope| {
            for _ in 1..self.0 {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// A pool that promises threads and never calls any work, as one that is shutting down.
struct Refusing;

impl Join for Refusing {
    fn threads(&self) -> usize {
        4
    }

    fn join(&self, _: &(dyn Fn() + Sync)) {}
}

/// A pool that panics after a part of the work, or before any.
struct Panicking {
    calls: usize,
}

impl Join for Panicking {
    fn threads(&self) -> usize {
        4
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        (0..self.calls).for_each(|_| work());
        panic!("the pool is gone");
    }
}

/// Calls the work far more often than it has threads.
struct Eager(AtomicUsize);

impl Join for Eager {
    fn threads(&self) -> usize {
        2
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        for _ in 0..10 {
            work();
            self.0.fetch_add(1, Ordering::Relaxed);
        }
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

/// Mostly tiny tensors, a few that have to be cut.
fn any_shapes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(
        prop_oneof![8 => 0usize..300, 2 => 1000usize..20_000, 1 => 50_000usize..200_000],
        0..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sharing_changes_no_bit(
        rule in any_rule(),
        shapes in any_shapes(),
        threads in 1usize..6,
        serial_below in prop_oneof![Just(0), Just(1 << 20), Just(usize::MAX)],
        seed: u64,
    ) {
        let mut random = Random(seed);
        let model: Vec<_> = shapes.iter().map(|&len| Buffers::random(&rule, len, &mut random)).collect();
        let mut alone = model.clone();
        for tensor in &mut alone {
            tensor.step(Backend::SCALAR, &rule, 3).unwrap();
        }
        let expected = bits_of_model(&alone);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let run = |step: &dyn Fn(&mut [Tensor<'_>]) -> Result<(), Error>| {
            let mut model = model.clone();
            step(&mut tensors(&mut model)).unwrap();
            bits_of_model(&model)
        };
        let with = |join: &dyn Fn(&mut [Tensor<'_>]) -> Result<(), Error>| run(join) == expected;
        let below = serial_below;
        prop_assert!(with(&|t| Workers::serial().step_model(&rule, 3, t)));
        prop_assert!(with(&|t| Workers::new(Rayon).serial_below(below).step_model(&rule, 3, t)));
        prop_assert!(with(&|t| Workers::new(&pool).serial_below(below).step_model(&rule, 3, t)));
        prop_assert!(with(&|t| pool.install(|| Workers::new(Rayon).serial_below(below).step_model(&rule, 3, t))));
        prop_assert!(with(&|t| Workers::new(Scoped(threads)).serial_below(below).step_model(&rule, 3, t)));
        prop_assert!(with(&|t| Workers::new(Refusing).serial_below(below).step_model(&rule, 3, t)));
        prop_assert!(with(&|t| Workers::new(Eager(AtomicUsize::new(0))).serial_below(below).step_model(&rule, 3, t)));
        for backend in Backend::available() {
            prop_assert!(with(&|t| Workers::new(Rayon).backend(backend).serial_below(below).step_model(&rule, 3, t)));
        }
    }

    /// The order of the list does not matter.
    #[test]
    fn order_changes_no_bit(rule in any_rule(), shapes in any_shapes(), seed: u64) {
        let mut random = Random(seed);
        let mut model: Vec<_> = shapes.iter().map(|&len| Buffers::random(&rule, len, &mut random)).collect();
        let mut reversed: Vec<_> = model.iter().rev().cloned().collect();
        let workers = Workers::rayon().serial_below(0);
        workers.step_model(&rule, 2, &mut tensors(&mut model)).unwrap();
        workers.step_model(&rule, 2, &mut tensors(&mut reversed)).unwrap();
        reversed.reverse();
        prop_assert_eq!(bits_of_model(&model), bits_of_model(&reversed));
    }
}

/// A step from within another rayon task, many at once: no deadlock, and the same bits.
#[test]
fn nested_in_rayon() {
    let rule = Momentum::torch();
    let mut random = Random(1);
    let model = vec![Buffers::random(&rule, 100_000, &mut random), Buffers::random(&rule, 10, &mut random)];
    let mut expected = model.clone();
    Workers::serial().step_model(&rule, 2, &mut tensors(&mut expected)).unwrap();
    let mut copies = vec![model; 20];
    rayon::scope(|scope| {
        for copy in &mut copies {
            scope.spawn(move |_| {
                Workers::rayon().serial_below(0).step_model(&rule, 2, &mut tensors(copy)).unwrap();
            });
        }
    });
    for copy in copies {
        assert_eq!(bits_of_model(&copy), bits_of_model(&expected));
    }
}

#[test]
fn a_refused_list_is_untouched_and_the_tensor_is_named() {
    let rule = Momentum::torch();
    let mut random = Random(2);
    let mut model: Vec<_> = [5, 6, 7].map(|len| Buffers::random(&rule, len, &mut random)).into();
    model[2].grads.pop();
    let before = bits_of_model(&model);
    let refusal = Workers::rayon().step_model(&rule, 2, &mut tensors(&mut model)).unwrap_err();
    assert_eq!(refusal.to_string(), "tensor \"#2\": grads has 6 elements where there are 7 parameters");
    assert_eq!(bits_of_model(&model), before);

    model[2].grads.push(0.0);
    model[1].state.push(vec![0.0; 6]);
    let before = bits_of_model(&model);
    let refusal = Workers::rayon().step_model(&rule, 2, &mut tensors(&mut model)).unwrap_err();
    assert_eq!(refusal.to_string(), "momentum needs 1 state slices (momentum_buffer) and was given 2");
    assert_eq!(bits_of_model(&model), before);

    assert_eq!(Workers::rayon().step_model(&rule, 0, &mut tensors(&mut model)), Err(Error::StepZero));
    assert_eq!(Workers::rayon().step_model(&rule, 1, &mut []), Ok(()));
}

#[test]
fn a_tensor_holds_eight_state_slices() {
    let mut state = [[0.0; 1]; 9];
    let refusal = Tensor::new(&mut [0.0], &[0.0], state.iter_mut().map(|slice| &mut slice[..])).unwrap_err();
    assert_eq!(refusal, Error::TooManySlices { found: 9, most: 8 });
}

#[test]
fn the_serial_join_is_one_thread() {
    assert_eq!(Serial.threads(), 1);
    let mut params = [1.0];
    Workers::new(Serial)
        .serial_below(0)
        .step(&Sgd::torch().lr(1.0).unwrap(), 1, &mut params, &[1.0], &mut [])
        .unwrap();
    assert_eq!(params, [0.0]);
}

/// What the pool leaves, the caller does: the step is whole.
#[test]
fn a_pool_that_panics_loses_nothing() {
    let rule = AnyRule::named("adamw").unwrap();
    let random = || {
        let mut random = Random(5);
        [100, 300_000, 7].map(|len| Buffers::random(&rule, len, &mut random))
    };
    let mut expected = random();
    Workers::serial().step_model(&rule, 3, &mut tensors(&mut expected)).unwrap();
    for calls in [0, 1] {
        let mut model = random();
        let workers = Workers::new(Panicking { calls }).serial_below(0);
        workers.step_model(&rule, 3, &mut tensors(&mut model)).unwrap();
        assert_eq!(bits_of_model(&model), bits_of_model(&expected));
    }
}

/// A rule that panics leaves a part undone, and the caller must know, even if the pool keeps it to itself.
#[test]
fn a_rule_that_panics_is_heard_of() {
    #[derive(Clone, Copy)]
    struct Panics;

    impl Rule for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn slots(&self) -> &'static [Slot] {
            &[]
        }

        fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
            visitor.visit(*self)
        }
    }

    impl Kernel<0> for Panics {
        fn update<L: Lane>(self, _: L, _: L, []: [L; 0]) -> (Change<L>, [L; 0]) {
            panic!("the rule is at fault")
        }
    }

    struct Quiet;

    impl Join for Quiet {
        fn threads(&self) -> usize {
            2
        }

        fn join(&self, work: &(dyn Fn() + Sync)) {
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    let step = || {
        let (mut params, grads) = (vec![1.0; 300_000], vec![1.0; 300_000]);
        let mut model = [Tensor::new(&mut params, &grads, []).unwrap()];
        Workers::new(Quiet).serial_below(0).step_model(&Panics, 1, &mut model)
    };
    assert!(catch_unwind(step).is_err());
}
