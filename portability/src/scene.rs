//! The training runs. What a step can do besides its rule (an option that all rules have, a pass over the tensors) gets a
//! scene here, and with it a column in the table.

use gradstep::{
    Average, Error, NonFinite, Options, Pass, Rule, Value,
    schedule::{Constant, Cosine, Polynomial, Schedule, Warmup},
};
use testkit::Random;

use crate::STEPS;

/// A training run, the same for each rule.
#[derive(Debug)]
pub struct Scene {
    /// The head of its column.
    pub name: &'static str,
    /// The number of the first step.
    pub(crate) first_step: u64,
    /// What is set beside the rule's usual preset.
    options: &'static [(&'static str, Value<'static>)],
    /// What is done around the rule.
    pub(crate) pass: Option<fn() -> Result<Pass, Error>>,
    /// What the learning rate is multiplied with at each step, counted from 0.
    pub(crate) factor: fn(u64) -> Result<f64, Error>,
    /// Where the parameter at a place starts.
    pub(crate) start: fn(&mut Random, usize) -> f32,
    /// The gradient of the parameter at a place.
    pub(crate) gradient: fn(&mut Random, usize, f32) -> f32,
}

/// All scenes, in the order of the table's columns.
pub const SCENES: &[Scene] = &[
    // A parabola under noise, with a schedule for the first half.
    Scene {
        name: "noisy",
        first_step: 1,
        options: &[],
        pass: None,
        factor: |t| {
            let schedule = Warmup::new(100, 0.1, Cosine::new(400, 0.2)?)?.then(500, Constant::new(1.0)?);
            Ok(schedule.factor(t))
        },
        start: |random, _| random.signed(),
        gradient: |random, place, p| {
            let curvature = [1.0, 0.5, 0.25, 0.125][place % 4];
            (p - 1.0) * curvature + random.signed() * 0.25
        },
    },
    // In the midst of training, with what regularisation there is.
    Scene {
        name: "resumed",
        first_step: 1001,
        options: &[
            ("weight_decay", Value::Number(0.01)),
            ("decay", Value::Choice("decoupled")),
            ("cautious_decay", Value::Flag(true)),
            ("l1", Value::Number(0.001)),
            ("l1_form", Value::Choice("proximal")),
            ("cautious", Value::Flag(true)),
        ],
        pass: None,
        factor: |t| Ok(Polynomial::new(STEPS, 1.5)?.factor(t)),
        start: |random, _| random.signed(),
        gradient: |random, place, _| with_exponent(random, 127 - place as u32 % 8),
    },
    // What arithmetic is easily wrong about.
    Scene {
        name: "awkward",
        first_step: 1,
        options: &[],
        pass: None,
        factor: |_| Ok(1.0),
        start: awkward,
        gradient: |random, place, _| awkward(random, place),
    },
    // With everything around the rule, and now and then a step that is refused.
    Scene {
        name: "pass",
        first_step: 1,
        options: &[],
        pass: Some(|| {
            let pass = Pass::new().check(NonFinite::Refuse).loss_scale(1024.0)?.clip_value(4.0)?;
            let average = Average::exponential(0.99)?.from_step(10);
            let pass = pass.clip_global_norm(2.0)?.centralize().flush_subnormals().max_norm(3.0)?;
            Ok(pass.bounds(-2.0, 2.0)?.average(average).zero_grads())
        }),
        factor: |_| Ok(1.0),
        start: |random, _| random.signed(),
        gradient: |random, _, p| {
            let poison = random.bits(14) == 0;
            if poison { f32::INFINITY } else { 1024.0 * (p - 1.0 + random.signed()) }
        },
    },
];

/// Of a kind that goes by the place, or else all averages would be as large as the largest value.
fn awkward(random: &mut Random, place: usize) -> f32 {
    match place % 8 {
        0 => zero(random),
        1 => with_exponent(random, 0),
        // The square is subnormal.
        2 => with_exponent(random, 60),
        // Seldom so large that the square is infinite, or a norm would be nothing else.
        3 if random.bits(8) == 0 => with_exponent(random, 200),
        // Seldom anything but zero.
        4 if random.bits(5) > 0 => zero(random),
        5 => {
            let exponent = random.bits(7);
            with_exponent(random, exponent)
        }
        _ => random.signed(),
    }
}

/// Any of the floats with this exponent, of either sign. Zero and the subnormals have the exponent 0, and 1 has 127.
fn with_exponent(random: &mut Random, exponent: u32) -> f32 {
    f32::from_bits(random.bits(1) << 31 | exponent << 23 | random.bits(23))
}

/// Zero of either sign.
fn zero(random: &mut Random) -> f32 {
    f32::from_bits(random.bits(1) << 31)
}

impl Scene {
    /// Whether there have been steps before, which have left their state.
    pub(crate) fn resumed(&self) -> bool {
        self.first_step > 1
    }

    /// The rule with the options of this scene.
    pub(crate) fn rule<R: Rule + Options>(&self, rule: &R) -> Result<R, Error> {
        let mut rule = *rule;
        self.options.iter().try_for_each(|&(option, value)| rule.set(option, value))?;
        Ok(rule)
    }

    /// The rule with its learning rate times a factor.
    pub(crate) fn scheduled<R: Rule + Options>(rule: &R, factor: f64) -> Result<R, Error> {
        let mut rule = *rule;
        if let Some(Value::Number(lr)) = rule.get("lr") {
            rule.set("lr", lr * factor)?;
        }
        Ok(rule)
    }
}
