//! Everything that a training step does to a parameter, in one trip through memory.

pub(crate) mod gradient;
pub(crate) mod loss_scaler;
pub(crate) mod pass;
pub(crate) mod run;
#[cfg(feature = "std")]
pub(crate) mod share;
pub(crate) mod telemetry;
pub(crate) mod tensor;
pub(crate) mod tile;
