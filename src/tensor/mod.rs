//! What a step goes over.

pub(crate) mod grad_sums;
pub(crate) mod report;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod tag;
pub(crate) mod telemetry;
pub(crate) mod tensor;
pub(crate) mod view;
