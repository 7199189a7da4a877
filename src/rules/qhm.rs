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
    /// Quasi-hyperbolic momentum: a step between the plain gradient and an average of gradients.
    ///
    /// ```text
    /// momentum_buffer m = momentum*m + (1-momentum)*g
    /// p = p - lr*((1-nu)*g + nu*m)
    /// ```
    ///
    /// `nu` = 0 is plain gradient descent, 1 is momentum as an average, and `nu` = `momentum` is Nesterov's form of it.
    ///
    /// **State**: `momentum_buffer`, zero at first.
    ///
    /// **Defaults**: [`paper`](Qhm::paper) momentum 0.999, nu 0.7, which the authors recommend, and lr 0.001, which they leave
    /// open.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Qhm, step};
    ///
    /// let rule = Qhm::paper().lr(1.0)?.momentum(0.75)?.nu(0.5)?;
    /// let (mut params, mut momentum_buffer) = ([1.0], [0.0]);
    /// step(&rule, 1, &mut params, &[1.0], &mut [&mut momentum_buffer])?;
    /// assert_eq!((params, momentum_buffer), ([0.375], [0.25])); // half of 1, and half of 0.25
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Ma and Yarats, "Quasi-hyperbolic momentum and Adam for deep learning", 2019.
    ///
    /// **Where frameworks differ**: nowhere; PyTorch, Keras and optax don't have it.
    pub struct Qhm = "qhm" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of the average after a step: the paper's beta.
        momentum: f64 => BelowOne,
        /// The average's part in the step.
        nu: f64 => Unit,
    }
}

impl Qhm {
    /// As the paper recommends.
    #[must_use]
    pub const fn paper() -> Self {
        Self { lr: 1e-3, momentum: 0.999, nu: 0.7, common: Common::NONE }
    }
}

impl Rule for Qhm {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[MOMENTUM_BUFFER]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Between {
            rest: (1.0 - self.momentum) as f32,
            direct: (self.lr * (1.0 - self.nu)) as f32,
            along: (self.lr * self.nu) as f32,
        })
    }
}

#[derive(Clone, Copy)]
struct Between {
    rest: f32,
    direct: f32,
    along: f32,
}

impl Kernel<1> for Between {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m]: [L; 1]) -> (Change<L>, [L; 1]) {
        let m = m.lerp(g, self.rest);
        (Change::By(g * self.direct + m * self.along), [m])
    }
}
