//! The state of a rule, slot by slot: its name, its size, what its numbers mean, and what they start from.

/// One slice of a rule's state.
///
/// ```
/// use gradstep::{Role, Slot};
///
/// const STATE: &[Slot] = &[Slot::full("exp_avg", Role::Momentum), Slot::scalar("trust_ratio")];
/// assert_eq!(STATE[0].len(1000), 1000);
/// assert_eq!(STATE[1].len(1000), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// The name, as checkpoints and messages have it.
    pub name: &'static str,
    /// How many elements it has.
    pub extent: Extent,
    /// What its numbers mean.
    pub role: Role,
    /// What they are before the first step.
    pub initial: Initial,
}

/// How many elements a slot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// One for each parameter.
    Full,
    /// One for the whole tensor.
    Scalar,
    /// A total over the whole run, of the whole tensor: two elements, whose sum it is. One `f32` alone would stop to grow
    /// after 2^24 additions of 1.
    Total,
}

/// What a slot holds before the first step of its tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Initial {
    /// Zeros.
    Zero,
    /// A copy of the parameters.
    Param,
    /// The number that [`Rule::initial`](crate::Rule::initial) gives, which depends on the rule's options.
    Rule,
    /// What the caller puts there, before the first step and later.
    Caller,
}

/// What the numbers of a slot mean to the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A velocity or a moving average of gradients along which the rule steps.
    Momentum,
    /// Another moving average of gradients, or of their differences.
    Mean,
    /// A moving average of gradients over so many steps that its changes are small beside it.
    SlowMean,
    /// A moving average of squares.
    Square,
    /// A maximum.
    Max,
    /// A sum over all steps, which only grows or which keeps all of its terms.
    Sum,
    /// A point in the space of the parameters, which moves.
    Point,
    /// The parameters at the start, which stay.
    Fixed,
    /// The gradient of the step before.
    Gradient,
    /// A step size that is multiplied with factors.
    Factor,
    /// A number about the whole tensor.
    Scalar,
}

/// The slots that many rules have.
pub(crate) const EXP_AVG: Slot = Slot::full("exp_avg", Role::Momentum);
pub(crate) const EXP_AVG_SQ: Slot = Slot::full("exp_avg_sq", Role::Square);
pub(crate) const MAX_EXP_AVG_SQ: Slot = Slot::full("max_exp_avg_sq", Role::Max);
pub(crate) const MOMENTUM_BUFFER: Slot = Slot::full("momentum_buffer", Role::Momentum);

impl Slot {
    /// A slot with an element for each parameter, zero at first.
    #[must_use]
    pub const fn full(name: &'static str, role: Role) -> Self {
        Self { name, extent: Extent::Full, role, initial: Initial::Zero }
    }

    /// A slot with a single element, zero at first.
    #[must_use]
    pub const fn scalar(name: &'static str) -> Self {
        Self { name, extent: Extent::Scalar, role: Role::Scalar, initial: Initial::Zero }
    }

    /// A slot for a total over the run, zero at first.
    #[must_use]
    pub const fn total(name: &'static str) -> Self {
        Self { name, extent: Extent::Total, role: Role::Scalar, initial: Initial::Zero }
    }

    /// The same slot with something else in it at first.
    #[must_use]
    pub const fn starting_as(self, initial: Initial) -> Self {
        Self { initial, ..self }
    }

    /// Returns how many elements it has beside so many parameters.
    #[must_use]
    pub const fn len(&self, params: usize) -> usize {
        match self.extent {
            Extent::Full => params,
            Extent::Scalar => 1,
            Extent::Total => 2,
        }
    }

    /// Returns whether it has an element for each parameter.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self.extent, Extent::Full)
    }

    /// Returns what it holds, if it is about the whole tensor.
    pub(crate) fn read(&self, slice: &[f32]) -> f64 {
        slice.iter().take(self.len(0)).fold(0.0, |sum, part| sum + f64::from(*part))
    }

    /// Puts a number about the whole tensor there. One that is too large for an `f32` becomes the largest.
    pub(crate) fn write(&self, slice: &mut [f32], number: f64) {
        let rounded = saturated(number);
        let rest = if rounded.abs() < f32::MAX { (number - f64::from(rounded)) as f32 } else { 0.0 };
        slice.iter_mut().zip([rounded, rest]).for_each(|(held, part)| *held = part);
    }
}

/// Returns how many of these slots have an element for each parameter: they come first.
#[must_use]
pub fn full_slots(slots: &[Slot]) -> usize {
    slots.iter().take_while(|slot| slot.is_full()).count()
}

/// Returns whether a rule keeps nothing about whole tensors.
pub(crate) fn has_only_full(slots: &[Slot]) -> bool {
    slots.last().is_none_or(Slot::is_full)
}

/// The nearest `f32`, but for the infinities: a finite number stays finite.
fn saturated(number: f64) -> f32 {
    if number.is_finite() { number.clamp(f32::MIN.into(), f32::MAX.into()) as f32 } else { number as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_grows_by_one_beyond_two_to_the_fortieth() {
        let (total, mut held) = (Slot::total("sum"), [0.0; 2]);
        total.write(&mut held, f64::from(1u32 << 20).powi(2));
        for _ in 0..1000 {
            let sum = total.read(&held);
            total.write(&mut held, sum + 1.0);
        }
        assert_eq!(total.read(&held), f64::from(1u32 << 20).powi(2) + 1000.0);
    }

    #[test]
    fn finite_number_stays_finite() {
        for slot in [Slot::scalar("ratio"), Slot::total("sum")] {
            for number in [1e39, -1e39, 1e300, f64::from(f32::MAX), 3.5e38, 1e-50, -0.0] {
                let mut held = [0.0; 2];
                slot.write(&mut held, number);
                let expected = number.clamp(f32::MIN.into(), f32::MAX.into());
                assert!((slot.read(&held) - expected).abs() <= expected.abs() * 6e-8 + 1e-45, "{number}");
            }
        }
    }
}
