//! Where the learning rate stands in a velocity: the conventions of the frameworks, folded into coefficients.

use crate::{rule::choices::choices, simd::lane::Lane};

choices! {
    /// How momentum collects gradients `g` into a velocity `v`, and what is taken off the parameters.
    pub enum Velocity {
        /// `v = momentum*v + g; p = p - lr*v`: PyTorch, optax, burn.
        Sum = "sum",
        /// `v = momentum*v + lr*g; p = p - v`: a change of `lr` acts with the delay of the velocity. Most textbooks.
        LrInside = "lr-inside",
        /// `v = momentum*v - lr*g; p = p + v`: the same with the state's sign turned. Keras, TensorFlow.
        LrInsideNegative = "lr-inside-negative",
        /// `v = momentum*v + (1-momentum)*g; p = p - lr*v`: an exponential moving average.
        Average = "average",
    }
}

/// `v = mu*v + gain*g; p = p - (along*v + direct*g)`
#[derive(Clone, Copy)]
pub(crate) struct Coefficients {
    pub(crate) mu: f32,
    pub(crate) gain: f32,
    pub(crate) along: f32,
    pub(crate) direct: f32,
}

impl Velocity {
    /// Nesterov's form looks one step ahead: where the plain form takes `v`, it takes `mu*v + gain*g`.
    pub(crate) fn coefficients(self, lr: f64, mu: f64, nesterov: bool) -> Coefficients {
        let (gain, along) = match self {
            Self::Sum => (1.0, lr),
            Self::LrInside => (lr, 1.0),
            Self::LrInsideNegative => (-lr, -1.0),
            Self::Average => (1.0 - mu, lr),
        };
        let (along, direct) = if nesterov { (along * mu, along * gain) } else { (along, 0.0) };
        Coefficients { mu: mu as f32, gain: gain as f32, along: along as f32, direct: direct as f32 }
    }
}

/// Where a velocity stays that finite gradients would lead out of `f32`: 2^120. There is room above it for thousands of
/// steps of a parameter along it. An infinite gradient shows all the same, since `direct` times infinity is none or NaN.
const FASTEST: f32 = f32::from_bits((127 + 120) << 23);

impl Coefficients {
    /// The same for gradients that are too small by `scale`.
    pub(crate) fn scaled(self, scale: f64) -> Self {
        let times = |coefficient: f32| (f64::from(coefficient) * scale) as f32;
        Self { gain: times(self.gain), direct: times(self.direct), ..self }
    }

    /// The parameter's change and the new velocity.
    #[inline(always)]
    pub(crate) fn follow<L: Lane>(self, g: L, v: L) -> (L, L) {
        let v = (v * self.mu + g * self.gain).within(FASTEST);
        (v * self.along + g * self.direct, v)
    }
}
