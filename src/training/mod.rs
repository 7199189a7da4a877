//! A small training loop, and learning-rate schedules.

pub mod schedule;
pub mod train;
