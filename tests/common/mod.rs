//! What the tests share: a seeded generator, every configuration of every rule, a naive twin of the step.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use gradstep::{
    AnyRule, Change, Domain, Error, Kernel, KernelVisitor, Kind, Mixed, OptionInfo, Prepare, Rule, Shrink,
    Slot, Value, Workers, new_state, splitmix64,
};

pub mod values;

/// The same numbers on every machine; what it holds is the generator's state, the seed at first.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
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

/// The rules whose step goes element by element: those without scalars.
pub fn elementwise() -> impl Iterator<Item = &'static str> {
    let elementwise = |name: &&str| AnyRule::named(name).unwrap().slots().iter().all(Slot::is_full);
    AnyRule::NAMES.iter().copied().filter(elementwise)
}

/// Those that look at whole tensors.
pub fn whole() -> impl Iterator<Item = &'static str> {
    AnyRule::NAMES.iter().copied().filter(|name| elementwise().all(|other| other != *name))
}

/// Every preset of every element-wise rule, and of each every combination of its own flags and choices, each with numbers off
/// the beaten track as well, and with some of the options that all rules have. What a rule refuses is left out.
pub fn configurations() -> Vec<Configuration> {
    elementwise().flat_map(configurations_of).collect()
}

pub fn configurations_of(name: &str) -> Vec<Configuration> {
    let mut all = presets(name);
    let usual = AnyRule::named(name).unwrap();
    let mut random = Random(1);
    for (i, own) in combinations(own_options(&usual)).iter().enumerate() {
        for common in some_common(i) {
            let settings = [&own[..], common].concat();
            let plain = configure(usual, &settings);
            let odd = configure(with_odd_numbers(usual, &mut random), &settings);
            for (rule, kind) in [(plain, "usual"), (odd, "odd")] {
                if let Ok(rule) = rule {
                    all.push(Configuration { label: format!("{name} {kind} {settings:?}"), rule });
                }
            }
        }
    }
    all
}

/// Those that not every rule has.
fn own_options(rule: &AnyRule) -> &'static [OptionInfo] {
    let own = rule.options().iter().position(|option| option.name == "weight_decay").unwrap();
    &rule.options()[..own]
}

/// The first of a rule's combinations has each of [`COMMON`], the others have none and two others each.
fn some_common(i: usize) -> Vec<&'static [Setting]> {
    if i == 0 {
        return COMMON.to_vec();
    }
    [0, 1 + (2 * i) % (COMMON.len() - 1), 1 + (2 * i + 1) % (COMMON.len() - 1)].map(|i| COMMON[i]).to_vec()
}

type Setting = (&'static str, Value<'static>);

const ON: Value<'static> = Value::Flag(true);
const SOME: Value<'static> = Value::Number(0.03);

/// The options that all rules have: nothing, each alone, and a few together.
const COMMON: &[&[Setting]] = &[
    &[],
    &[("maximize", ON)],
    &[("weight_decay", SOME)],
    &[("weight_decay", SOME), ("decay", Value::Choice("decoupled"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("decoupled-after"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("fixed"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("fixed-after"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("proximal"))],
    &[("weight_decay", SOME), ("decay", Value::Choice("decoupled")), ("cautious_decay", ON)],
    &[("l1", SOME)],
    &[("l1", SOME), ("l1_form", Value::Choice("proximal"))],
    &[("cautious", ON)],
    &[("weight_decay", SOME), ("maximize", ON), ("cautious", ON), ("l1", SOME)],
    &[
        ("weight_decay", SOME),
        ("decay", Value::Choice("fixed-after")),
        ("cautious", ON),
        ("cautious_decay", ON),
        ("l1", SOME),
        ("l1_form", Value::Choice("proximal")),
    ],
];

pub fn presets(name: &str) -> Vec<Configuration> {
    let configuration = |preset: &&str| Configuration {
        label: format!("{name}/{preset}"),
        rule: AnyRule::preset(name, preset).unwrap(),
    };
    AnyRule::presets(name).iter().map(configuration).collect()
}

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
    rule.check()?;
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
            // A number that is refused, or contradicts another option, is left as it was.
            let mut changed = rule;
            if changed.set(option.name, value).is_ok() && changed.check().is_ok() {
                rule = changed;
            }
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
        let state = new_state(rule, &params);
        Self { params, grads, state }
    }

    /// Values between -1 and 1, and state as before the first step.
    pub fn fresh(rule: &impl Rule, len: usize, random: &mut Random) -> Self {
        let mut values = || (0..len).map(|_| random.signed()).collect::<Vec<f32>>();
        let params = values();
        Self::new(rule, params, values())
    }

    /// Values between -1 and 1, and state that a few steps may have left.
    pub fn random(rule: &impl Rule, len: usize, random: &mut Random) -> Self {
        let mut values = || (0..len).map(|_| random.signed()).collect::<Vec<f32>>();
        let (params, grads) = (values(), values());
        let mut positive = |len| (0..len).map(|_| random.signed().abs()).collect();
        let state = rule.slots().iter().map(|slot| positive(slot.len(len))).collect();
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
        let Buffers { params, grads, state } = self.buffers;
        for (i, p) in params.iter_mut().enumerate() {
            let mut old = std::array::from_fn(|slot| state[slot][i]);
            *p = naive_element(self.rule.prepare(), kernel, *p, grads[i], &mut old);
            for slot in 0..N {
                state[slot][i] = old[slot];
            }
        }
    }
}

/// One element with all that is done around the kernel.
fn naive_element<K: Kernel<N>, const N: usize>(
    prepare: Prepare,
    kernel: K,
    p: f32,
    g: f32,
    state: &mut [f32; N],
) -> f32 {
    let mixed = match prepare.shrink {
        Shrink::Nothing => Mixed::default(),
        Shrink::L2(l2) => Mixed { l2, ..Mixed::default() },
        Shrink::Decay(decay) => Mixed { decay, ..Mixed::default() },
        Shrink::Mixed(mixed) => mixed,
    };
    let sign = |x: f32| if x == 0.0 || x.is_nan() { 0.0 } else { x.signum() };
    let mut g = g * prepare.scale;
    if mixed.l2 != 0.0 {
        g += mixed.l2 * p;
    }
    if mixed.l1 != 0.0 {
        g += mixed.l1 * sign(p);
    }
    let first = mixed.decay != 0.0 && !mixed.decay_after && !mixed.cautious_decay;
    let seen = if first { p - p * mixed.decay } else { p };
    let (change, new_state) = kernel.update(seen, g, *state);
    *state = new_state;
    let (mut by, mut new) = match change {
        Change::By(by) => (by, p - by),
        Change::To(new) => (seen - new, new),
    };
    if mixed.cautious && sign(by) * sign(g) <= 0.0 {
        (by, new) = match change {
            Change::By(_) => (0.0, p),
            Change::To(_) => (0.0, seen),
        };
    }
    let careful = mixed.cautious_decay && sign(by) * sign(p) <= 0.0;
    let decay = if careful { 0.0 } else { mixed.decay * if mixed.decay_after { new } else { p } };
    match change {
        _ if mixed.decay == 0.0 => {}
        Change::To(_) if first => {}
        Change::By(_) if !mixed.decay_after => new = p - (by + decay),
        _ => new -= decay,
    }
    if mixed.threshold != 0.0 && new.abs() <= mixed.threshold {
        new = 0.0;
    } else if mixed.threshold != 0.0 {
        new -= mixed.threshold.copysign(new);
    }
    new
}
