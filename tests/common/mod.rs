//! What the tests share: a seeded generator, every configuration of every rule, a naive twin of the step.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use gradstep::{
    AnyRule, Change, Domain, Error, Kernel, KernelVisitor, Kind, OptionInfo, Rule, Shrink, Value, Workers,
};

pub mod values;

/// SplitMix64: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From -1 to 1.
    pub fn signed(&mut self) -> f32 {
        (2.0 * self.unit() - 1.0) as f32
    }
}

/// A rule with its options set, and a label that tells which.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub label: String,
    pub rule: AnyRule,
}

/// Every preset of every rule, and of each rule every combination of its flags and choices, each with numbers off the
/// beaten track as well. What a rule refuses is left out.
pub fn configurations() -> Vec<Configuration> {
    AnyRule::NAMES.iter().flat_map(|name| configurations_of(name)).collect()
}

pub fn configurations_of(name: &str) -> Vec<Configuration> {
    let mut all = presets(name);
    let usual = AnyRule::named(name).unwrap();
    let mut random = Random(1);
    for settings in combinations(usual.options()) {
        let plain = configure(usual, &settings);
        let odd = configure(with_odd_numbers(usual, &mut random), &settings);
        for (rule, kind) in [(plain, "usual"), (odd, "odd")] {
            if let Ok(rule) = rule {
                all.push(Configuration { label: format!("{name} {kind} {settings:?}"), rule });
            }
        }
    }
    all
}

pub fn presets(name: &str) -> Vec<Configuration> {
    let configuration = |preset: &&str| Configuration {
        label: format!("{name}/{preset}"),
        rule: AnyRule::preset(name, preset).unwrap(),
    };
    AnyRule::presets(name).iter().map(configuration).collect()
}

type Setting = (&'static str, Value<'static>);

/// All combinations of the values that flags and choices can take.
fn combinations(options: &'static [OptionInfo]) -> Vec<Vec<Setting>> {
    let mut all = vec![vec![]];
    for option in options {
        let values: Vec<Value<'static>> = match option.kind {
            Kind::Number(_) => continue,
            Kind::Flag => vec![Value::Flag(false), Value::Flag(true)],
            Kind::Choice(words) => words.iter().map(|word| Value::Choice(word)).collect(),
        };
        all = all
            .iter()
            .flat_map(|settings| {
                values.iter().map(|value| [&settings[..], &[(option.name, *value)]].concat())
            })
            .collect();
    }
    all
}

fn configure(mut rule: AnyRule, settings: &[Setting]) -> Result<AnyRule, Error> {
    for &(name, value) in settings {
        rule.set(name, value)?;
    }
    Ok(rule)
}

/// Sets about half of the numbers to others of their domain: to its lower end, or well inside it.
pub fn with_odd_numbers(mut rule: AnyRule, random: &mut Random) -> AnyRule {
    for option in rule.options() {
        if let Kind::Number(domain) = option.kind {
            let inside = match domain {
                Domain::BelowOne | Domain::Unit => 0.75,
                _ => 0.03,
            };
            let value = match random.below(4) {
                0 => 0.0,
                1 => inside,
                _ => continue,
            };
            // A number that contradicts another option is left as it was.
            let _ = rule.set(option.name, value);
        }
    }
    rule
}

/// Owned slices for one rule.
#[derive(Clone, Debug)]
pub struct Buffers {
    pub params: Vec<f32>,
    pub grads: Vec<f32>,
    pub state: Vec<Vec<f32>>,
}

impl Buffers {
    /// State as before the first step.
    pub fn new(rule: &impl Rule, params: Vec<f32>, grads: Vec<f32>) -> Self {
        let state = (0..rule.state().len()).map(|slot| vec![rule.initial(slot); params.len()]).collect();
        Self { params, grads, state }
    }

    /// Values between -1 and 1, and state that a few steps may have left.
    pub fn random(rule: &impl Rule, len: usize, random: &mut Random) -> Self {
        let mut values = || (0..len).map(|_| random.signed()).collect::<Vec<f32>>();
        let (params, grads) = (values(), values());
        let state = rule.state().iter().map(|_| values().iter().map(|x| x.abs()).collect()).collect();
        Self { params, grads, state }
    }

    pub fn step(&mut self, backend: gradstep::Backend, rule: &impl Rule, step: u64) -> Result<(), Error> {
        let mut state: Vec<&mut [f32]> = self.state.iter_mut().map(Vec::as_mut_slice).collect();
        backend.step(rule, step, &mut self.params, &self.grads, &mut state)
    }

    pub fn par_step(&mut self, backend: gradstep::Backend, rule: &impl Rule, step: u64) -> Result<(), Error> {
        let mut state: Vec<&mut [f32]> = self.state.iter_mut().map(Vec::as_mut_slice).collect();
        // Shared from the first byte on, so that short slices are as well.
        let workers = Workers::rayon().backend(backend).serial_below(0);
        workers.step(rule, step, &mut self.params, &self.grads, &mut state)
    }

    /// The step's meaning, element by element, sharing nothing with the crate but the kernel itself.
    pub fn naive_step(&mut self, rule: &impl Rule, step: u64) {
        rule.with_kernel(step, Naive { rule, buffers: self });
    }

    /// The bits of parameters and state, all NaN taken for the same one.
    pub fn bits(&self) -> Vec<u32> {
        let all = self.params.iter().chain(self.state.iter().flatten());
        all.map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
    }
}

struct Naive<'a, R> {
    rule: &'a R,
    buffers: &'a mut Buffers,
}

impl<R: Rule> KernelVisitor for Naive<'_, R> {
    type Output = ();

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let prepare = self.rule.prepare();
        let Buffers { params, grads, state } = self.buffers;
        for (i, p) in params.iter_mut().enumerate() {
            let g = grads[i] * prepare.scale;
            let (g, decay) = match prepare.shrink {
                Shrink::Nothing => (g, None),
                Shrink::L2(l2) => (g + *p * l2, None),
                Shrink::Decay(decay) => (g, Some(*p * decay)),
            };
            let old = std::array::from_fn(|slot| state[slot][i]);
            let (change, new): (Change<f32>, [f32; N]) = kernel.update(*p, g, old);
            *p = match (change, decay) {
                (Change::By(change), None) => *p - change,
                (Change::By(change), Some(decay)) => *p - (change + decay),
                (Change::To(new), None) => new,
                (Change::To(new), Some(decay)) => new - decay,
            };
            for slot in 0..N {
                state[slot][i] = new[slot];
            }
        }
    }
}
