//! What a step did.

/// What a pass did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a step that was refused is no error: `refused` says so, and then neither it nor its number was taken"]
pub struct PassReport {
    /// True if the whole step was refused: nothing has changed then.
    pub refused: bool,
    /// How many tensors were stepped.
    pub stepped: usize,
    /// How many were left as they were.
    pub skipped: usize,
    /// How many elements the stepped ones have together.
    pub elements: usize,
    /// How many elements of all gradients were found to be NaN or infinite; 0 unless the pass looked.
    pub non_finite: u64,
    /// The norm of all gradients that count, before they were clipped by norm; `None` where nothing asked for it.
    pub grad_norm: Option<f64>,
}

impl PassReport {
    /// The number of the step after this one, which was number `step`: the same number again where it was refused. A tensor
    /// that the pass skipped has not taken its step either, which [`Tensor::counter`](crate::Tensor::counter) keeps account of.
    #[must_use]
    pub fn next_step(&self, step: u64) -> u64 {
        if self.refused { step } else { step.saturating_add(1) }
    }
}
