use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Slot},
    },
    rules::parts::moments::{Moments, correction},
    simd::lane::Lane,
};

rule_options! {
    /// QHAdam: Adam that steps between each average and its newest value.
    ///
    /// ```text
    /// exp_avg    m = beta1*m + (1-beta1)*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// m^ = m/(1-beta1^t);  v^ = v/(1-beta2^t)
    /// p = p - lr * ((1-nu1)*g + nu1*m^) / (sqrt((1-nu2)*g^2 + nu2*v^) + eps)
    /// ```
    ///
    /// With both `nu` at 1 this is Adam; with `nu1` = `beta1` nearly NAdam.
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, zero at first.
    ///
    /// **Defaults**: [`paper`](QhAdam::paper) lr 0.001, betas 0.995 and 0.999, nu1 0.7, nu2 1, eps 1e-8.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{QhAdam, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
    /// step(&QhAdam::paper(), 1, &mut params, &[4.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert!((params[0] - 0.999).abs() < 1e-6);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Ma and Yarats, "Quasi-hyperbolic momentum and Adam for deep learning", 2019.
    ///
    /// **Where frameworks differ**: nowhere; PyTorch, Keras and optax don't have it. The authors' code keeps the averages as
    /// corrected already, so that its state is another.
    pub struct QhAdam = "qhadam" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// The average's part in the numerator.
        nu1: f64 => Unit,
        /// The average's part under the root.
        nu2: f64 => Unit,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
    }
}

impl QhAdam {
    /// As the paper recommends.
    #[must_use]
    pub const fn paper() -> Self {
        Self { lr: 1e-3, beta1: 0.995, beta2: 0.999, nu1: 0.7, nu2: 1.0, eps: 1e-8, common: Common::NONE }
    }
}

impl Rule for QhAdam {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[EXP_AVG, EXP_AVG_SQ]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Between {
            moments: Moments::new(self.beta1, self.beta2),
            direct: (self.lr * (1.0 - self.nu1)) as f32,
            along: (self.lr * self.nu1 / correction(self.beta1, step)) as f32,
            newest: (1.0 - self.nu2) as f32,
            mean: (self.nu2 / correction(self.beta2, step)) as f32,
            eps: self.eps as f32,
        })
    }
}

#[derive(Clone, Copy)]
struct Between {
    moments: Moments,
    direct: f32,
    along: f32,
    newest: f32,
    mean: f32,
    eps: f32,
}

impl Kernel<2> for Between {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        let square = g * g * self.newest + v * self.mean;
        (Change::By((g * self.direct + m * self.along) / (square.sqrt() + self.eps)), [m, v])
    }
}
