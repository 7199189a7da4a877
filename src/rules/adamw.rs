use crate::rules::adam::Adam;

/// AdamW: [`Adam`] with decoupled weight decay.
///
/// ```text
/// p = (1 - lr*weight_decay)*p, then as Adam
/// ```
///
/// A name for presets alone: what they return is an [`Adam`].
///
/// **Defaults**: as those of [`Adam`], with weight decay [`torch`](AdamW::torch) 0.01, [`keras`](AdamW::keras) 0.004,
/// [`optax`](AdamW::optax) 0.0001.
///
/// ```
/// use gradstep::{AdamW, step};
///
/// let rule = AdamW::torch().lr(0.5)?.weight_decay(0.2)?;
/// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
/// step(&rule, 1, &mut params, &[0.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
/// assert_eq!(params, [0.9]); // no gradient, so decay alone: 1 - 0.5*0.2
/// # Ok::<(), gradstep::Error>(())
/// ```
///
/// **Paper**: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
///
/// **Where frameworks differ**: in the amount. The paper itself decays by `weight_decay` without `lr`.
#[derive(Clone, Copy, Debug)]
pub enum AdamW {}

impl AdamW {
    /// As `torch.optim.AdamW`.
    #[must_use]
    pub const fn torch() -> Adam {
        Adam::torch().decoupled(0.01)
    }

    /// As `keras.optimizers.AdamW`.
    #[must_use]
    pub const fn keras() -> Adam {
        Adam::keras().decoupled(0.004)
    }

    /// As `optax.adamw`.
    #[must_use]
    pub const fn optax() -> Adam {
        Adam::optax().decoupled(1e-4)
    }
}
