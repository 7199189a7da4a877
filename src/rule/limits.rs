//! How much a rule may have of each thing. Tensors and buffers are sized by these numbers.

/// The most slots that hold a number about the whole tensor.
pub(crate) const MAX_SCALARS: usize = 4;

/// The most sums.
pub(crate) const MAX_SUMS: usize = 4;

/// The most values that a measuring kernel puts out beside its state.
pub(crate) const MAX_OUTPUTS: usize = 2;
