//! From where on the library is not held to its promises: the one place to widen what the targets ask.

use arbitrary::{Result, Unstructured};
use gradstep::{AnyRule, Domain, Kind, Rule, Scope, Value};

use crate::plain_values;

/// Whether a step of this rule takes long. NAdam multiplies as many momenta as there were steps, or until the product is
/// nothing beside 1.
pub fn is_slow(rule: &AnyRule) -> bool {
    rule.name() == "nadam" && number(rule, "beta1").is_some_and(|beta1| beta1 > 0.999)
}

/// Whether finite gradients must give finite parameters and state under this rule.
pub fn stays_finite(rule: &AnyRule) -> bool {
    rule.options().iter().all(|option| match (option.kind, number(rule, option.name)) {
        // Without an epsilon a gradient of 0 is divided by 0.
        (_, Some(number)) if option.name == "eps" && number == 0.0 => false,
        // Estimates of the learning rate that forget at once may grow without end.
        (Kind::Number(Domain::BelowOne), Some(decay)) => {
            decay == 0.0 && !estimates(rule) || (0.5..=0.9999).contains(&decay)
        }
        (_, number) => number.is_none_or(is_moderate),
    })
}

fn estimates(rule: &AnyRule) -> bool {
    rule.measures().is_some_and(|measures| measures.scope() == Scope::Together)
}

/// A setting that the library must not go astray under, in `f32`.
pub fn is_moderate(number: f64) -> bool {
    number == 0.0 || (1e-12..=2.0).contains(&number)
}

/// Gradients from which every step must find its way.
pub fn gradients(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<f32>> {
    plain_values(u, len)
}

/// A scale from which a loss scaler must work for ever.
pub fn is_sound_scale(scale: f64) -> bool {
    (1e-30..=1e30).contains(&scale)
}

/// Likewise a factor to grow by.
pub fn is_sound_growth(factor: f64) -> bool {
    (1.0..=1e30).contains(&factor)
}

/// Likewise a factor to back off by.
pub fn is_sound_backoff(factor: f64) -> bool {
    (1e-30..=1.0).contains(&factor)
}

/// Likewise how many good steps there were, which must not be more than make it grow.
pub fn sound_tracker(tracker: u32, interval: u32) -> u32 {
    tracker.checked_rem(interval).unwrap_or(tracker)
}

/// Whether a scale is so small that no pass takes it: its inverse is infinite in `f32`.
pub fn is_below_every_pass(scale: f64) -> bool {
    scale < 3e-39
}

fn number(rule: &AnyRule, option: &str) -> Option<f64> {
    match rule.get(option) {
        Some(Value::Number(number)) => Some(number),
        _ => None,
    }
}
