//! The checks of a schedule's numbers.

use crate::{
    error::Error,
    rule::{options::check_number, values::Domain},
};

pub(super) fn check_positive(schedule: &'static str, option: &'static str, value: f64) -> Result<(), Error> {
    check_number(schedule, option, value, Domain::Positive)
}

pub(super) fn check_steps(schedule: &'static str, option: &'static str, steps: u64) -> Result<(), Error> {
    check_positive(schedule, option, steps as f64)
}

/// For factors.
pub(super) fn check_factor(schedule: &'static str, option: &'static str, factor: f64) -> Result<(), Error> {
    check_number(schedule, option, factor, Domain::NonNegative)
}

/// For factors that are a floor under others.
pub(super) fn check_unit(schedule: &'static str, option: &'static str, factor: f64) -> Result<(), Error> {
    check_number(schedule, option, factor, Domain::Unit)
}
