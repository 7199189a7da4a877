//! Compares the hashes of all rules with the table, on whatever machine this is built for: a line for each backend, and
//! before it one for each hash that differs. `.ci/targets` builds and runs it for each target that it knows.
//!
//! ```text
//! cargo run --release [BACKEND...] [RULE...]    # all where none is named
//! ```

#![cfg_attr(any(target_os = "none", target_os = "unknown"), no_std, no_main)]

#[cfg(not(any(target_os = "none", target_os = "unknown")))]
mod hosted;
#[cfg(target_os = "none")]
mod semihosted;
#[cfg(target_os = "unknown")]
mod wasm;

#[cfg(not(any(target_os = "none", target_os = "unknown")))]
fn main() -> std::process::ExitCode {
    hosted::main()
}

#[cfg(any(target_os = "none", target_os = "unknown"))]
use gradstep::{AnyRule, Backend};

/// What there is without an operating system: all backends that were compiled in.
#[cfg(any(target_os = "none", target_os = "unknown"))]
fn all_agree(out: &mut impl core::fmt::Write) -> bool {
    Backend::available().fold(true, |agree, backend| {
        gradstep_hash::report(backend, AnyRule::NAMES, out).unwrap_or(false) && agree
    })
}
