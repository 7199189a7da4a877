//! What made a piece of state.

use core::fmt;

use crate::rule::{rule::Rule, slots::Slot};

/// What made a piece of state: a rule, and the convention by which its numbers have to be read.
///
/// Written out it is what a checkpoint should keep beside the state: `momentum/lr-inside`, or `adam` for a rule that has a
/// single convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateKind {
    /// The [kind](Rule::kind) of the rule.
    pub rule: &'static str,
    /// Its [convention](Rule::convention).
    pub convention: &'static str,
    /// Its [slots](Rule::slots).
    pub slots: &'static [Slot],
}

impl StateKind {
    /// That of a rule.
    pub fn of<R: Rule>(rule: &R) -> Self {
        Self { rule: rule.kind(), convention: rule.convention(), slots: rule.slots() }
    }
}

impl StateKind {
    /// Returns whether this is how it is written out.
    #[cfg(feature = "alloc")]
    pub(crate) fn is_written(&self, text: &str) -> bool {
        let (rule, convention) = text.split_once('/').unwrap_or((text, ""));
        (rule, convention) == (self.rule, self.convention)
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.convention.is_empty() { "" } else { "/" };
        write!(f, "{}{separator}{}", self.rule, self.convention)
    }
}
