//! What an update rule is: its options, its state, its kernels, and what is done around every rule.

pub(crate) mod check;
pub(crate) mod limits;
pub(crate) mod nearest;
pub(crate) mod options;
pub(crate) mod registry;
pub(crate) mod regularize;
pub(crate) mod rule;
pub(crate) mod slots;
pub(crate) mod sums;
