//! Bytes become a rule, its options, and a list of tensors, some of which count their own steps; every backend must then agree
//! with the scalar one bit for bit, in the order of the list and in the reverse order, each tensor alone, and in two parts.
//! A first step from other state than the rule starts from must be refused, and change nothing.

#![no_main]

use arbitrary::{Result, Unstructured};
use gradstep::{AnyRule, Backend, Error, Rule, Scope, Tensor, Workers, init_state};
use gradstep_fuzz::{any_rule, any_state, change_state, step, steps_taken, values, with_tail};
use libfuzzer_sys::fuzz_target;
use testkit::{Buffers, equal, is_elementwise, slices};

#[derive(Clone, Debug)]
struct Case {
    rule: AnyRule,
    step: u64,
    model: Vec<Owned>,
}

#[derive(Clone, Debug)]
struct Owned {
    buffers: Buffers,
    /// How many steps it has taken, if it counts them itself.
    counter: Option<u64>,
    /// Where it is cut in two.
    cut: usize,
}

impl Case {
    fn any(u: &mut Unstructured<'_>) -> Result<Self> {
        let (rule, step) = (any_rule(u)?, step(u)?);
        let tensors = u.int_in_range(1..=3)?;
        let model = (0..tensors).map(|_| Owned::any(u, &rule, step)).collect::<Result<_>>()?;
        Ok(Self { rule, step, model })
    }
}

impl Owned {
    fn any(u: &mut Unstructured<'_>, rule: &AnyRule, step: u64) -> Result<Self> {
        let len = u.int_in_range(0..=80)?;
        let mut owned = Self {
            buffers: Buffers {
                params: values(u, len)?,
                grads: values(u, len)?,
                state: any_state(u, rule, len)?,
            },
            counter: if u.arbitrary()? { Some(steps_taken(u)?) } else { None },
            cut: u.int_in_range(0..=len)?,
        };
        if owned.next_step(step) == 1 {
            owned.start(rule);
            if u.ratio(1, 8)? {
                change_state(u, &mut owned.buffers.state)?;
            }
        }
        Ok(owned)
    }

    /// The number of its step where that of the call is `step`.
    fn next_step(&self, step: u64) -> u64 {
        self.counter.map_or(step, |steps| steps.saturating_add(1))
    }

    fn start(&mut self, rule: &AnyRule) {
        let Buffers { params, state, .. } = &mut self.buffers;
        init_state(rule, params, &mut slices(state)).expect("state of that rule");
    }

    /// Whether its state is what comes before the first step.
    fn is_started(&self, rule: &AnyRule) -> bool {
        let mut started = self.clone();
        started.start(rule);
        let [mine, start] = [self, &started].map(|owned| owned.buffers.state.iter().flatten());
        mine.zip(start).all(|(&x, &y)| equal(x, y))
    }

    fn tensor(&mut self) -> Tensor<'_> {
        self.counter.iter_mut().fold(self.buffers.tensor(), Tensor::counter)
    }

    /// The same in two parts, of which each counts for itself.
    fn cut(self) -> [Self; 2] {
        let (mut first, mut rest) = (self.clone(), self);
        let cut = first.cut;
        first.slices_mut().for_each(|slice| slice.truncate(cut));
        rest.slices_mut().for_each(|slice| drop(slice.drain(..cut)));
        [first, rest]
    }

    fn slices_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        let Buffers { params, grads, state } = &mut self.buffers;
        state.iter_mut().chain([params, grads])
    }

    fn step(&mut self, backend: Backend, rule: &AnyRule, step: u64) {
        self.buffers.step(backend, rule, step).expect("valid slices");
    }
}

impl Case {
    /// All in one list.
    fn run(mut self, backend: Backend, reversed: bool) -> (std::result::Result<(), Error>, Vec<Owned>) {
        let mut tensors: Vec<_> = self.model.iter_mut().map(Owned::tensor).collect();
        if reversed {
            tensors.reverse();
        }
        let result = Workers::serial().backend(backend).step_model(&self.rule, self.step, &mut tensors);
        (result, self.model)
    }

    /// Each by itself, under the number that it has in the list.
    fn run_apart(mut self, backend: Backend) -> Vec<Owned> {
        for tensor in &mut self.model {
            let step = tensor.next_step(self.step);
            tensor.step(backend, &self.rule, step);
        }
        self.model
    }

    /// Each in two parts.
    fn run_in_parts(self, backend: Backend) -> Vec<Vec<u32>> {
        let step = |mut part: Owned| {
            let step = part.next_step(self.step);
            part.step(backend, &self.rule, step);
            part
        };
        let join = |[first, rest]: [Owned; 2]| {
            let mut joined = first;
            joined.slices_mut().zip(rest.clone().slices_mut()).for_each(|(to, from)| to.append(from));
            joined.buffers.bits()
        };
        self.model.into_iter().map(|tensor| join(tensor.cut().map(step))).collect()
    }

    fn is_started(&self) -> bool {
        let first = |tensor: &&Owned| tensor.next_step(self.step) == 1;
        self.model.iter().filter(first).all(|tensor| tensor.is_started(&self.rule))
    }
}

fn all_bits(model: &[Owned]) -> Vec<Vec<u32>> {
    model.iter().map(|owned| owned.buffers.bits()).collect()
}

fn check(case: &Case) {
    let started = case.is_started();
    let mut expected = case.model.clone();
    if started {
        expected = case.clone().run(Backend::SCALAR, false).1;
        expected.iter_mut().zip(&case.model).for_each(|(after, before)| {
            assert_eq!(after.counter, before.counter.map(|steps| steps.saturating_add(1)));
        });
    }
    for backend in Backend::available() {
        for reversed in [false, true] {
            let (result, model) = case.clone().run(backend, reversed);
            assert!(
                result.is_ok() == started && !matches!(result, Err(error) if error.to_string().is_empty())
            );
            assert!(result.is_ok() || matches!(result, Err(Error::FirstState { .. })));
            let counters = |model: &[Owned]| model.iter().map(|tensor| tensor.counter).collect::<Vec<_>>();
            assert_eq!(counters(&model), counters(&expected));
            assert_eq!(all_bits(&model), all_bits(&expected), "{backend}, reversed: {reversed}");
        }
        if started && case.rule.measures().is_none_or(|measures| measures.scope() == Scope::Tensor) {
            assert_eq!(all_bits(&case.clone().run_apart(backend)), all_bits(&expected), "{backend}, apart");
        }
        if started && is_elementwise(&case.rule) {
            assert_eq!(case.clone().run_in_parts(backend), all_bits(&expected), "{backend}, in parts");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let data = with_tail(data, 200);
    if let Ok(case) = Case::any(&mut Unstructured::new(&data)) {
        check(&case);
    }
});
