//! Everything that a training step does to a parameter, in one trip through memory.

pub(crate) mod check;
pub(crate) mod gradient;
pub(crate) mod loss_scaler;
pub(crate) mod pass;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod scratch;
pub(crate) mod tile;
pub(crate) mod watch;
