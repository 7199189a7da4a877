//! What a step goes over.

pub(crate) mod tensor;
pub(crate) mod tiles;
