//! What Adam and its relatives share: the two averages, their corrections, and the root that the step is divided by.

use crate::{
    numbers::math::{powi, sqrt},
    rule::choices::choices,
    simd::lane::Lane,
};

choices! {
    /// Where Adam's `eps` stands.
    pub enum AdamEps {
        /// Added to the corrected root, as in the paper's algorithm 1: PyTorch, optax.
        AfterCorrection = "after-correction",
        /// Added to the root of the raw second moment, the paper's "epsilon hat": Keras, TensorFlow. In the first
        /// steps this is a larger epsilon.
        Hat = "hat",
    }
}

choices! {
    /// Where the `eps` of AdaGrad and RMSProp stands.
    pub enum RootEps {
        /// Added to the root: PyTorch.
        Outside = "outside",
        /// Added to what the root is taken of: Keras, optax, dfdx.
        Inside = "inside",
    }
}

impl RootEps {
    /// Returns what is added outside the root, and what inside.
    pub(crate) fn split(self, eps: f64) -> (f64, f64) {
        match self {
            Self::Outside => (eps, 0.0),
            Self::Inside => (0.0, eps),
        }
    }
}

/// `1 - beta^t`: what an average that began at zero weighs by now.
pub(crate) fn correction(beta: f64, step: u64) -> f64 {
    1.0 - powi(beta, step)
}

/// `lr * sqrt(1-beta2^t)/(1-beta1^t)`: what a quotient of raw averages is multiplied with instead of correcting both.
pub(crate) fn step_size(lr: f64, beta1: f64, beta2: f64, step: u64) -> f64 {
    lr * sqrt(correction(beta2, step)) / correction(beta1, step)
}

/// The moving averages of the gradient and of its square.
#[derive(Clone, Copy)]
pub(crate) struct Moments {
    rest1: f32,
    rest2: f32,
}

impl Moments {
    pub(crate) fn new(beta1: f64, beta2: f64) -> Self {
        Self { rest1: (1.0 - beta1) as f32, rest2: (1.0 - beta2) as f32 }
    }

    #[inline(always)]
    pub(crate) fn update<L: Lane>(self, g: L, m: L, v: L) -> (L, L) {
        (m.lerp(g, self.rest1), v.lerp(g * g, self.rest2))
    }
}

/// The root of a corrected second moment, with epsilon, times [`scale`](Self::scale): that takes the division by the
/// correction out of the loop.
#[derive(Clone, Copy)]
pub(crate) struct Root {
    /// What the root is too large by; a numerator is to be multiplied with it.
    pub(crate) scale: f64,
    eps: f32,
    eps_root: f32,
}

impl Root {
    pub(crate) fn new(eps: f64, place: AdamEps, eps_root: f64, correction: f64) -> Self {
        let scale = sqrt(correction);
        let eps = match place {
            AdamEps::AfterCorrection => eps * scale,
            AdamEps::Hat => eps,
        };
        Self { scale, eps: eps as f32, eps_root: (eps_root * correction) as f32 }
    }

    #[inline(always)]
    pub(crate) fn of<L: Lane>(self, v: L) -> L {
        (v + self.eps_root).sqrt() + self.eps
    }
}

/// Nesterov's look-ahead: the average and the gradient together, each with its own correction.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) average: f32,
    pub(crate) gradient: f32,
}

impl Ahead {
    /// `lr` times `beta*m/(1 - beta^(t+1)) + (1-beta)*g/(1 - beta^t)`
    pub(crate) fn constant(lr: f64, beta: f64, step: u64) -> Self {
        Self {
            average: (lr * beta / correction(beta, step.saturating_add(1))) as f32,
            gradient: (lr * (1.0 - beta) / correction(beta, step)) as f32,
        }
    }

    #[inline(always)]
    pub(crate) fn of<L: Lane>(self, m: L, g: L) -> L {
        m * self.average + g * self.gradient
    }
}

/// The corrected average, with or without the look-ahead, times a learning rate.
#[derive(Clone, Copy)]
pub(crate) struct Numerator {
    ahead: Ahead,
    nesterov: bool,
}

impl Numerator {
    pub(crate) fn new(lr: f64, beta: f64, step: u64, nesterov: bool) -> Self {
        let plain = || Ahead { average: (lr / correction(beta, step)) as f32, gradient: 0.0 };
        Self { ahead: if nesterov { Ahead::constant(lr, beta, step) } else { plain() }, nesterov }
    }

    #[inline(always)]
    pub(crate) fn of<L: Lane>(self, m: L, g: L) -> L {
        if self.nesterov { self.ahead.of(m, g) } else { m * self.ahead.average }
    }
}
