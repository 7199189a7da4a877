//! What every rule can have done to gradient and parameter before its own arithmetic.

use crate::{Change, Kernel, Lane, options::choices};

/// What is done to gradient and parameter before the kernel sees them: the gradient is scaled, then one of the forms
/// of [`Shrink`] is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepare {
    /// What the gradient is multiplied with: 1, or -1 to maximise.
    pub scale: f32,
    /// Regularisation.
    pub shrink: Shrink,
}

impl Prepare {
    /// Leaves gradient and parameter as they are, bit for bit.
    pub const NOTHING: Self = Self { scale: 1.0, shrink: Shrink::Nothing };
}

impl Default for Prepare {
    fn default() -> Self {
        Self::NOTHING
    }
}

/// How regularisation draws parameters towards zero. Each form has a loop of its own, so that what is off is not
/// computed with a zero, which infinities and signed zeros would show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shrink {
    /// Not at all.
    Nothing,
    /// `g = g + l2*p`
    L2(f32),
    /// `p = p - (change + decay*p)`. Frameworks take `keep*p - change` with `keep` = 1 - decay: rounded to `f32` that
    /// is off by up to 3e-8, at each step to the same side, and the common decay of 1e-5 by 0.3 %.
    Decay(f32),
}

/// A kernel whose gradient is scaled. A multiplication by one is exact and cost nothing that was measurable beside a
/// kernel's memory traffic.
#[derive(Clone, Copy)]
pub(crate) struct Scaled<K> {
    pub(crate) kernel: K,
    pub(crate) scale: f32,
}

impl<K: Kernel<N>, const N: usize> Kernel<N> for Scaled<K> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        self.kernel.update(p, g * self.scale, state)
    }
}

/// The same with coupled L2 regularisation.
#[derive(Clone, Copy)]
pub(crate) struct Coupled<K> {
    pub(crate) kernel: K,
    pub(crate) scale: f32,
    pub(crate) l2: f32,
}

impl<K: Kernel<N>, const N: usize> Kernel<N> for Coupled<K> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        self.kernel.update(p, g * self.scale + p * self.l2, state)
    }
}

/// The same with decoupled weight decay.
#[derive(Clone, Copy)]
pub(crate) struct Decayed<K> {
    pub(crate) kernel: K,
    pub(crate) scale: f32,
    pub(crate) decay: f32,
}

impl<K: Kernel<N>, const N: usize> Kernel<N> for Decayed<K> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        let decay = p * self.decay;
        match self.kernel.update(p, g * self.scale, state) {
            (Change::By(change), state) => (Change::By(change + decay), state),
            (Change::To(new), state) => (Change::To(new - decay), state),
        }
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

    /// Keras has it for every rule, and off (at 0) by default.
    pub(crate) const fn decoupled(weight_decay: f64) -> Self {
        Self { weight_decay, decay: Decay::Decoupled, ..Self::NONE }
    }

    pub(crate) fn prepare(&self, lr: f64) -> Prepare {
        let shrink = match self.decay {
            _ if self.weight_decay == 0.0 => Shrink::Nothing,
            Decay::Coupled => Shrink::L2(self.weight_decay as f32),
            Decay::Decoupled => Shrink::Decay((lr * self.weight_decay) as f32),
        };
        Prepare { scale: if self.maximize { -1.0 } else { 1.0 }, shrink }
    }
}
