//! Which rule steps a tensor, and at which step.

/// Which of several rules steps a tensor, and at which step.
///
/// Sorted by it, tensors that are stepped together are neighbours, in the order of their list: the first of them is the one
/// whose scalars they go on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    pub(crate) group: usize,
    pub(crate) step: u64,
    /// The place in an optimizer's list.
    pub(crate) place: usize,
    /// True if its state has still to be made, right before its first step. Only an optimizer makes state.
    pub(crate) fresh: bool,
}

impl Tag {
    /// Returns whether one rule steps both.
    pub(crate) fn has_rule_of(self, other: Self) -> bool {
        self.group == other.group
    }

    /// Returns whether one rule steps both, at the same step.
    pub(crate) fn goes_with(self, other: Self) -> bool {
        (self.group, self.step) == (other.group, other.step)
    }
}
