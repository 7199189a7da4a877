//! Arithmetic that several rules share.

pub(crate) mod gradient;
pub(crate) mod moments;
pub(crate) mod schedule_free;
pub(crate) mod trust_ratio;
pub(crate) mod velocity;
