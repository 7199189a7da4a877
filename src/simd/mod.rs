//! Sets of instructions, and the lanes that a kernel computes with. Nothing here knows rules.

pub(crate) mod backend;
#[cfg(feature = "std")]
pub(crate) mod denormals;
pub(crate) mod factor;
pub(crate) mod isa;
pub(crate) mod lane;
pub(crate) mod prefetch;
pub(crate) mod scalar;
pub(crate) mod wide;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) mod x86;
