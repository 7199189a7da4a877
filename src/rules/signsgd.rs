use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::Slot,
    },
    simd::lane::Lane,
};

rule_options! {
    /// signSGD: a step of the same length for every parameter, against the sign of its gradient.
    ///
    /// ```text
    /// p = p - lr*sign(g)
    /// ```
    ///
    /// The sign of zero, and of NaN, is 0.
    ///
    /// **State**: none.
    ///
    /// **Defaults**: [`optax`](SignSgd::optax) lr 0.001 (optax has no default).
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{SignSgd, step};
    ///
    /// let mut params = [1.0, 1.0, 1.0];
    /// step(&SignSgd::optax().lr(0.25)?, 1, &mut params, &[3.0, -0.001, 0.0], &mut [])?;
    /// assert_eq!(params, [0.75, 1.25, 1.0]);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Bernstein et al., "signSGD: Compressed Optimisation for Non-Convex Problems", 2018.
    ///
    /// **Where frameworks differ**: nowhere; few have it.
    pub struct SignSgd = "signsgd" {
        /// Learning rate: the length of every step.
        lr: f64 => NonNegative,
    }
}

impl SignSgd {
    /// As `optax.sign_sgd`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { lr: 1e-3, common: Common::NONE }
    }
}

impl Rule for SignSgd {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Sign { lr: self.lr as f32 })
    }
}

#[derive(Clone, Copy)]
struct Sign {
    lr: f32,
}

impl Kernel<0> for Sign {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, []: [L; 0]) -> (Change<L>, [L; 0]) {
        (Change::By(g.sign() * self.lr), [])
    }
}
