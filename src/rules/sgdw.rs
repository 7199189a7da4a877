use crate::{rule::common::Decay, rules::momentum::Momentum};

/// SGDW: [`Momentum`] with decoupled weight decay.
///
/// ```text
/// momentum_buffer v = momentum*v + lr*g
/// p = p - v - weight_decay*p
/// ```
///
/// A name for presets alone: what they return is a [`Momentum`].
///
/// **Defaults**: [`paper`](SgdW::paper) lr 0.001, momentum 0.9, the velocity with lr inside, and weight decay 0.0001 that lr
/// does not scale; [`torch`](SgdW::torch) the same with PyTorch's velocity and with decay times lr, as AdamW has it.
///
/// ```
/// use gradstep::{SgdW, step};
///
/// let rule = SgdW::paper().weight_decay(0.25)?;
/// let (mut params, mut momentum_buffer) = ([1.0], [0.0]);
/// step(&rule, 1, &mut params, &[0.0], &mut [&mut momentum_buffer])?;
/// assert_eq!(params, [0.75]);
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Paper**: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
///
/// **Where frameworks differ**: PyTorch's own SGD has no decoupled decay; libraries that add it differ in whether `lr`
/// scales it. `decay` says which: "fixed" or "decoupled".
#[derive(Clone, Copy, Debug)]
pub enum SgdW {}

impl SgdW {
    /// As the paper's algorithm 1, whose schedule multiplier is the caller's.
    #[must_use]
    pub const fn paper() -> Momentum {
        Momentum::textbook().at(1e-3).decayed(Decay::Fixed, 1e-4)
    }

    /// As libraries for PyTorch have it.
    #[must_use]
    pub const fn torch() -> Momentum {
        Momentum::torch().decayed(Decay::Decoupled, 1e-4)
    }
}
