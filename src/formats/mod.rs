//! How numbers lie in memory. Nothing here knows rules.

pub(crate) mod floats;
pub(crate) mod half;
pub(crate) mod slices;
pub(crate) mod tiles;
