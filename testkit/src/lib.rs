//! What the tests, the benchmarks, the fuzz targets, the hashes and the examples share.
//!
//! - `random` draws the same numbers on every machine.
//! - `values` has numbers that trip arithmetic, and compares bits.
//! - `configurations` lists every rule with every combination of its options.
//! - `buffers` owns the slices of a tensor, and steps them.
//! - [`twin`] says what a step means, one element at a time.
//! - [`models`] has the shapes of well-known models.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
mod buffers;
#[cfg(feature = "std")]
mod configurations;
#[cfg(feature = "std")]
pub mod models;
mod random;
#[cfg(feature = "std")]
pub mod twin;
mod values;

#[cfg(feature = "std")]
pub use {
    buffers::{Buffers, bits_of_model, slices, tensors},
    configurations::{
        Configuration, configurations, configurations_of, elementwise, is_elementwise, presets, sharing,
        whole, with_odd_numbers,
    },
    values::{awkward, bits, signed},
};
pub use {
    random::Random,
    values::{AWKWARD, bits_of, equal, ulps, wave},
};
