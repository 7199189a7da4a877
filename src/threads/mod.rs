//! How threads share a step.

pub(crate) mod join;
#[cfg(feature = "std")]
pub(crate) mod queue;
pub(crate) mod workers;
