use crate::rules::nadam::NAdam;

/// NAdamW: [`NAdam`] with decoupled weight decay.
///
/// ```text
/// p = (1 - lr*weight_decay)*p, then as NAdam
/// ```
///
/// A name for presets alone: what they return is a [`NAdam`].
///
/// **Defaults**: as those of [`NAdam`], with weight decay [`torch`](NAdamW::torch) 0.01 (PyTorch's default is 0, with
/// `decoupled_weight_decay`), [`optax`](NAdamW::optax) 0.0001.
///
/// ```
/// use gradstep::{NAdamW, step};
///
/// let rule = NAdamW::torch().lr(0.5)?.weight_decay(0.2)?;
/// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
/// step(&rule, 1, &mut params, &[0.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
/// assert_eq!(params, [0.9]); // no gradient, so decay alone
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Papers**: Dozat, "Incorporating Nesterov Momentum into Adam", 2016; Loshchilov and Hutter, "Decoupled Weight Decay
/// Regularization", 2019.
///
/// **Where frameworks differ**: as for NAdam, and in the amount of decay.
#[derive(Clone, Copy, Debug)]
pub enum NAdamW {}

impl NAdamW {
    /// As `torch.optim.NAdam(decoupled_weight_decay=True)`.
    #[must_use]
    pub const fn torch() -> NAdam {
        NAdam::torch().decoupled(0.01)
    }

    /// As `optax.nadamw`.
    #[must_use]
    pub const fn optax() -> NAdam {
        NAdam::optax().decoupled(1e-4)
    }
}
