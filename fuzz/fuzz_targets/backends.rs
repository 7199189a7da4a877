//! Bytes become a rule, its options, lengths and values; every backend, whole and in two parts, must then agree with
//! the scalar one bit for bit.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use gradstep::{AnyRule, Backend, Kind, Rule, Value};
use libfuzzer_sys::fuzz_target;

/// A step's input. The bits of the floats are the fuzzer's: NaN, subnormals, all of them.
#[derive(Clone, Debug)]
struct Case {
    rule: AnyRule,
    step: u64,
    cut: usize,
    params: Vec<f32>,
    grads: Vec<f32>,
    state: Vec<Vec<f32>>,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        // A rule that looks at whole tensors does not take them in two parts.
        let rules = AnyRule::NAMES.iter().flat_map(|name| AnyRule::named(name));
        let rules: Vec<AnyRule> = rules.filter(|rule| full_slots(rule.slots()) == rule.slots().len()).collect();
        let mut rule = *u.choose(&rules)?;
        for option in rule.options() {
            let value = match option.kind {
                Kind::Number(_) => Value::Number(f64::arbitrary(u)?),
                Kind::Flag => Value::Flag(bool::arbitrary(u)?),
                Kind::Choice(words) => Value::Choice(u.choose(words)?),
            };
            // What is out of range must be refused and change nothing; what contradicts another option is taken back.
            let before = rule;
            if rule.set(option.name, value).is_err() {
                assert_eq!(rule, before);
            } else if rule.check().is_err() {
                rule = before;
            }
        }
        let len = u.int_in_range(0..=80)?;
        let mut slice =
            || (0..len).map(|_| Ok(f32::from_bits(u32::arbitrary(u)?))).collect::<Result<Vec<_>, _>>();
        let (params, grads) = (slice()?, slice()?);
        let state = rule.state().iter().map(|_| slice()).collect::<Result<_, _>>()?;
        Ok(Self {
            rule,
            step: u.int_in_range(1..=1 << 40)?,
            cut: u.int_in_range(0..=len)?,
            params,
            grads,
            state,
        })
    }
}

impl Case {
    /// Steps the first `cut` elements, then the others.
    fn run(mut self, backend: Backend, cut: usize) -> Vec<u32> {
        let (p, p_rest) = self.params.split_at_mut(cut);
        let (g, g_rest) = self.grads.split_at(cut);
        let (mut s, mut s_rest): (Vec<_>, Vec<_>) =
            self.state.iter_mut().map(|s| s.split_at_mut(cut)).unzip();
        backend.step(&self.rule, self.step, p, g, &mut s).expect("valid slices");
        backend.step(&self.rule, self.step, p_rest, g_rest, &mut s_rest).expect("valid slices");
        let all = self.params.iter().chain(self.state.iter().flatten());
        // Which NaN is not specified.
        all.map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
    }
}

fuzz_target!(|case: Case| {
    let expected = case.clone().run(Backend::SCALAR, 0);
    for backend in Backend::available() {
        assert_eq!(case.clone().run(backend, 0), expected, "{backend}, whole");
        assert_eq!(case.clone().run(backend, case.cut), expected, "{backend}, in parts");
    }
});
