//! What is made of several steps: the optimizer of a whole model, and conversion between conventions.

#[cfg(feature = "alloc")]
pub(crate) mod arena;
pub(crate) mod convert;
#[cfg(feature = "alloc")]
pub(crate) mod ids;
pub(crate) mod lookahead;
#[cfg(feature = "alloc")]
pub(crate) mod optimizer;
#[cfg(feature = "alloc")]
pub(crate) mod saved;
#[cfg(feature = "alloc")]
pub(crate) mod together;
