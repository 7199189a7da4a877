//! What every rule can have done to gradient and parameter before its own arithmetic.

use crate::{Kernel, Lane, options::choices};

/// Scales the gradient, adds coupled L2 regularisation to it, shrinks the parameter by decoupled weight decay:
///
/// ```text
/// g = scale * g + l2 * p
/// p = keep * p
/// ```
///
/// both from the old `p`. The sum is skipped, not computed with a zero, where there is no L2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepare {
    /// What the gradient is multiplied with: 1, or -1 to maximise.
    pub scale: f32,
    /// Coupled L2 regularisation.
    pub l2: f32,
    /// What decoupled weight decay leaves of a parameter: `1 - lr * weight_decay`.
    pub keep: f32,
}

impl Prepare {
    /// Leaves gradient and parameter as they are, bit for bit.
    pub const NOTHING: Self = Self { scale: 1.0, l2: 0.0, keep: 1.0 };
}

impl Default for Prepare {
    fn default() -> Self {
        Self::NOTHING
    }
}

/// A kernel behind its [`Prepare`]. Two multiplications by one are exact and cost nothing that was measurable beside
/// a kernel's memory traffic, so only L2, which is not the identity at zero (0 times infinity), has a loop of its own.
#[derive(Clone, Copy)]
pub(crate) struct Prepared<K, const L2: bool> {
    pub(crate) kernel: K,
    pub(crate) prepare: Prepare,
}

impl<K: Kernel<N>, const N: usize, const L2: bool> Kernel<N> for Prepared<K, L2> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (L, [L; N]) {
        let g = g * self.prepare.scale;
        let g = if L2 { g + p * self.prepare.l2 } else { g };
        self.kernel.update(p * self.prepare.keep, g, state)
    }
}

choices! {
    /// How weight decay enters a step.
    pub enum Decay {
        /// L2 regularisation, as the `weight_decay` of PyTorch's SGD and Adam: `g = g + weight_decay * p`.
        Coupled = "coupled",
        /// Beside the gradient and times the learning rate, as AdamW: `p = (1 - lr * weight_decay) * p`.
        Decoupled = "decoupled",
    }
}

/// The options that every rule has. The setters are on the rules themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Common {
    pub(crate) weight_decay: f64,
    pub(crate) decay: Decay,
    pub(crate) maximize: bool,
}

impl Common {
    pub(crate) const NONE: Self = Self { weight_decay: 0.0, decay: Decay::Coupled, maximize: false };

    pub(crate) const fn decoupled(weight_decay: f64) -> Self {
        Self { weight_decay, decay: Decay::Decoupled, ..Self::NONE }
    }

    pub(crate) fn prepare(&self, lr: f64) -> Prepare {
        let (l2, keep) = match self.decay {
            Decay::Coupled => (self.weight_decay as f32, 1.0),
            Decay::Decoupled => (0.0, (1.0 - lr * self.weight_decay) as f32),
        };
        Prepare { scale: if self.maximize { -1.0 } else { 1.0 }, l2, keep }
    }
}
