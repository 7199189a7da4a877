use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{MOMENTUM_BUFFER, Slot},
    },
    simd::lane::Lane,
};

rule_options! {
    /// Signum: signSGD along an average of the gradients.
    ///
    /// ```text
    /// momentum_buffer m = momentum*m + (1-momentum)*g
    /// p = p - lr*sign(m)
    /// ```
    ///
    /// The sign of zero, and of NaN, is 0.
    ///
    /// **State**: `momentum_buffer`, zero at first.
    ///
    /// **Defaults**: momentum 0.9, lr 0.001 in both presets; [`optax`](Signum::optax) (which has no default lr) and
    /// [`paper`](Signum::paper) with decoupled decay.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Signum, step};
    ///
    /// let (mut params, mut momentum_buffer) = ([1.0], [0.0]);
    /// let rule = Signum::optax().lr(0.25)?.momentum(0.5)?;
    /// step(&rule, 1, &mut params, &[100.0], &mut [&mut momentum_buffer])?;
    /// step(&rule, 2, &mut params, &[-10.0], &mut [&mut momentum_buffer])?;
    /// assert_eq!((params, momentum_buffer), ([0.5], [20.0])); // the average is still positive
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Bernstein et al., "signSGD: Compressed Optimisation for Non-Convex Problems", 2018.
    ///
    /// **Where frameworks differ**: some sum gradients (`m = momentum*m + g`) instead of averaging them. The sign, and so
    /// the step, is the same; the state is larger by 1/(1-momentum).
    pub struct Signum = "signum" {
        /// Learning rate: the length of every step.
        lr: f64 => NonNegative,
        /// What is left of the average after a step.
        momentum: f64 => BelowOne,
    }
}

impl Signum {
    /// As `optax.signum`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { lr: 1e-3, momentum: 0.9, common: Common::NONE }
    }

    /// As the paper, whose weight decay (off here) is decoupled.
    #[must_use]
    pub const fn paper() -> Self {
        Self { common: Common::decoupled(0.0), ..Self::optax() }
    }
}

impl Rule for Signum {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[MOMENTUM_BUFFER]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Sign { lr: self.lr as f32, rest: (1.0 - self.momentum) as f32 })
    }
}

#[derive(Clone, Copy)]
struct Sign {
    lr: f32,
    rest: f32,
}

impl Kernel<1> for Sign {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m]: [L; 1]) -> (Change<L>, [L; 1]) {
        let m = m.lerp(g, self.rest);
        (Change::By(m.sign() * self.lr), [m])
    }
}
