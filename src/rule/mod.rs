//! What an update rule is: its options, its state, its kernels, and what is done around every rule.

pub(crate) mod choices;
pub(crate) mod common;
pub(crate) mod declare;
pub mod described;
pub(crate) mod kernel;
pub(crate) mod limits;
pub(crate) mod nearest;
pub(crate) mod options;
pub(crate) mod registry;
pub(crate) mod regularize;
pub(crate) mod rule;
pub(crate) mod slots;
pub(crate) mod state_kind;
pub(crate) mod sums;
pub(crate) mod values;
