//! What holds for every rule, over random slices: how they are cut, who steps the pieces, and the symmetries.

use gradstep::{AnyRule, Backend, Rule, Workers};
use proptest::prelude::*;
use testkit::{Buffers, Random, configurations_of, elementwise, equal, signed, twin, with_odd_numbers};

fn any_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(elementwise().collect::<Vec<_>>())
}

/// Any rule in any of its configurations.
fn any_rule() -> impl Strategy<Value = AnyRule> {
    (any_name(), any::<prop::sample::Index>())
        .prop_map(|(name, index)| index.get(&configurations_of(name)).rule)
}

fn any_backend() -> impl Strategy<Value = Backend> {
    prop::sample::select(Backend::available().collect::<Vec<_>>())
}

fn buffers(rule: &AnyRule, len: usize, seed: u64) -> Buffers {
    Buffers::random(rule, len, &mut Random(seed))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A step over any two parts is the step over the whole.
    #[test]
    fn a_split_changes_no_bit(
        rule in any_rule(),
        backend in any_backend(),
        other in any_backend(),
        len in 0usize..300,
        cut in any::<prop::sample::Index>(),
        seed: u64,
        t in 1u64..1_000_000,
    ) {
        let mut whole = buffers(&rule, len, seed);
        let mut parts = whole.clone();
        whole.step(backend, &rule, t).unwrap();

        let cut = cut.index(len + 1);
        let (p, p_rest) = parts.params.split_at_mut(cut);
        let (g, g_rest) = parts.grads.split_at(cut);
        let (mut s, mut s_rest): (Vec<_>, Vec<_>) = parts.state.iter_mut().map(|slice| slice.split_at_mut(cut)).unzip();
        backend.step(&rule, t, p, g, &mut s).unwrap();
        other.step(&rule, t, p_rest, g_rest, &mut s_rest).unwrap();
        prop_assert_eq!(whole.bits(), parts.bits());
    }

    #[test]
    fn the_kernels_are_their_scalar_meaning(
        rule in any_rule(), backend in any_backend(), len in 0usize..2000, seed: u64, t in 2u64..100_000,
    ) {
        let mut real = buffers(&rule, len, seed);
        let mut naive = real.clone();
        real.step(backend, &rule, t).unwrap();
        twin::step(&rule, t, &mut naive);
        prop_assert_eq!(real.bits(), naive.bits());
    }

    /// Turning the sign of everything turns the sign of the step: no rule prefers a direction.
    #[test]
    fn odd_symmetry(rule in any_rule(), backend in any_backend(), len in 0usize..100, seed: u64, t in 2u64..100) {
        let mut one = buffers(&rule, len, seed);
        let mut other = one.clone();
        for (place, slot) in rule.slots().iter().enumerate() {
            if is_odd(slot.name) {
                other.state[place].iter_mut().for_each(|x| *x = -*x);
            }
        }
        other.params.iter_mut().chain(&mut other.grads).for_each(|x| *x = -*x);
        one.step(backend, &rule, t).unwrap();
        other.step(backend, &rule, t).unwrap();
        for (p, q) in one.params.iter().zip(&other.params) {
            prop_assert!(equal(*p, -*q), "{} {}", p, q);
        }
    }

    /// Without epsilon the adaptive rules do not see the gradient's scale: a power of two changes no bit.
    #[test]
    fn scale_invariance(
        name in prop::sample::select(&["adagrad", "rmsprop", "adam", "adamw"][..]),
        backend in any_backend(), seed: u64, exponent in -20i32..20,
    ) {
        let mut rule = AnyRule::named(name).unwrap();
        rule.set("eps", 0.0).unwrap();
        let scale = 2f32.powi(exponent);
        let mut random = Random(seed);
        let params = signed(50, &mut random);
        let mut one = Buffers::new(&rule, params.clone(), vec![]);
        let mut other = Buffers::new(&rule, params, vec![]);
        for t in 1..10 {
            one.grads = (0..50).map(|_| random.signed() + 2.0).collect();
            other.grads = one.grads.iter().map(|g| g * scale).collect();
            one.step(backend, &rule, t).unwrap();
            other.step(backend, &rule, t).unwrap();
            prop_assert_eq!(&one.params, &other.params);
        }
    }

    /// From rest, a zero gradient moves nothing, whatever the rule's numbers; without weight decay and L1, that is, and but
    /// for rules that do otherwise by their formula.
    #[test]
    fn zero_gradients_from_rest(rule in any_rule(), backend in any_backend(), len in 0usize..100, seed: u64) {
        prop_assume!(!RESTLESS.contains(&rule.name()));
        let mut rule = rule;
        rule.set("weight_decay", 0.0).unwrap();
        rule.set("l1", 0.0).unwrap();
        prop_assume!(["eps", "eps_root"].iter().any(|eps| {
            matches!(rule.get(eps), Some(gradstep::Value::Number(eps)) if eps > 0.0)
        }) || rule.get("eps").is_none());
        let params = buffers(&rule, len, seed).params;
        let mut resting = Buffers::new(&rule, params.clone(), vec![0.0; len]);
        for t in 1..5 {
            resting.step(backend, &rule, t).unwrap();
        }
        prop_assert_eq!(resting.params, params);
    }
}

/// FTRL forgets where a parameter was, ASGD has a decay of its own, and optax lets Yogi's average start above zero.
const RESTLESS: [&str; 3] = ["ftrl", "asgd", "yogi"];

/// State that turns its sign with the gradient.
fn is_odd(state: &str) -> bool {
    let odd = [
        "momentum_buffer",
        "grad_avg",
        "exp_avg",
        "exp_avg_slow",
        "exp_avg_diff",
        "prev_grad",
        "prev",
        "ax",
        "s",
        "x0",
        "linear",
    ];
    odd.contains(&state)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The parallel step has the bits of the serial one at any number of threads.
    #[test]
    fn threads_change_no_bit(name in prop::sample::select(AnyRule::NAMES), threads in 1usize..6, len in 30_000usize..300_000, seed: u64) {
        let rule = with_odd_numbers(AnyRule::named(name).unwrap(), &mut Random(seed));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut serial = buffers(&rule, len, seed);
        let (mut inside, mut outside) = (serial.clone(), serial.clone());
        serial.step(Backend::detect(), &rule, 7).unwrap();
        let workers = Workers::rayon().serial_below(0);
        pool.install(|| inside.step_by(&workers, &rule, 7)).unwrap();
        outside.step_by(&workers, &rule, 7).unwrap();
        prop_assert!(serial.bits() == inside.bits());
        prop_assert!(serial.bits() == outside.bits());
    }
}
