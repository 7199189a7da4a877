//! Trains a small network on a few dozen handwritten digits, once with momentum and once with Adam: on a
//! microcontroller, without `std` or an allocator, and on any host, with the same bits.
//!
//! There is nothing in it that could panic, and nothing that formats: both would take more flash than the training.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(not(target_os = "none"))]
extern crate std;

mod console;
mod data;
#[cfg(target_os = "none")]
pub mod device;
mod hash;
mod network;
mod training;

pub use {
    console::Console,
    training::{Buffers, report},
};
