//! The roofs, written as rules: they run through the same loop, instructions and threads as the rules themselves.

use gradstep::{Change, Kernel, KernelVisitor, Lane, Role, Rule, Slot};

/// The rules whose defaults take one root and one division for each parameter.
const ROOT_AND_DIVISION: [&str; 5] = ["adagrad", "rmsprop", "adadelta", "adam", "adamw"];

pub fn takes_root_and_divides(rule: &str) -> bool {
    ROOT_AND_DIVISION.contains(&rule)
}

/// Adds the gradient to the parameter and to so many state slices: every byte is moved that a rule with as much state
/// must move, and one addition a stream keeps the compiler from leaving any out.
#[derive(Clone, Copy)]
pub struct SameBytes {
    pub slots: usize,
}

impl Rule for SameBytes {
    fn name(&self) -> &'static str {
        "same bytes"
    }

    fn slots(&self) -> &'static [Slot] {
        const ALL: &[Slot] = &[Slot::full("sum", Role::Sum); 4];
        &ALL[..self.slots]
    }

    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        match self.slots {
            0 => visitor.visit::<Add, 0>(Add),
            1 => visitor.visit::<Add, 1>(Add),
            2 => visitor.visit::<Add, 2>(Add),
            3 => visitor.visit::<Add, 3>(Add),
            _ => visitor.visit::<Add, 4>(Add),
        }
    }
}

#[derive(Clone, Copy)]
struct Add;

impl<const N: usize> Kernel<N> for Add {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        (Change::To(p + g), state.map(|slot| slot + g))
    }
}

/// Takes [`PER_ELEMENT`](Self::PER_ELEMENT) roots and as many divisions for each element, none of which waits for
/// another: beside them its loads and stores do not show.
#[derive(Clone, Copy)]
pub struct RootsAndDivisions;

impl RootsAndDivisions {
    pub const PER_ELEMENT: usize = 16;
}

impl Rule for RootsAndDivisions {
    fn name(&self) -> &'static str {
        "roots and divisions"
    }

    fn slots(&self) -> &'static [Slot] {
        &[]
    }

    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(*self)
    }
}

impl Kernel<0> for RootsAndDivisions {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, []: [L; 0]) -> (Change<L>, [L; 0]) {
        let (mut x, mut sum) = (p, g);
        for _ in 0..Self::PER_ELEMENT {
            sum = sum + g / x.sqrt();
            x = x + g;
        }
        (Change::To(sum), [])
    }
}

#[cfg(test)]
mod tests {
    use gradstep::{AnyRule, full_slots};

    use super::*;

    #[test]
    fn every_rule_has_a_roof() {
        for name in AnyRule::NAMES {
            let rule = AnyRule::named(name).unwrap();
            let slots = full_slots(rule.slots());
            assert_eq!(SameBytes { slots }.slots().len(), slots);
        }
        assert!(ROOT_AND_DIVISION.iter().all(|name| AnyRule::NAMES.contains(name)));
    }
}
