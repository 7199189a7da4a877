//! The loops: they are written once, for every rule and every set of instructions.

pub(crate) mod alone;
pub(crate) mod around;
pub(crate) mod check;
pub(crate) mod chunks;
pub(crate) mod erase;
pub mod erased;
pub(crate) mod forms;
pub(crate) mod groups;
pub(crate) mod kernels;
pub(crate) mod measure;
pub(crate) mod sweep;
