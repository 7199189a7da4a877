use crate::{
    rule::{
        common::{Common, Decay},
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Role, Slot},
    },
    rules::parts::moments::{AdamEps, Root, correction},
    simd::lane::Lane,
};

rule_options! {
    /// Adan: Adam with Nesterov's look-ahead by an average of the differences between gradients.
    ///
    /// ```text
    /// d = g - prev_grad, and 0 at the first step
    /// exp_avg      m = beta1*m + (1-beta1)*g
    /// exp_avg_diff v = beta2*v + (1-beta2)*d
    /// exp_avg_sq   n = beta3*n + (1-beta3)*(g + diff_weight*d)^2
    /// m^ = m/(1-beta1^t);  v^ = v/(1-beta2^t);  n^ = n/(1-beta3^t)
    /// p = p - lr * (m^ + diff_weight*v^) / (sqrt(n^ + eps_root) + eps)
    /// prev_grad = g
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_diff`, `exp_avg_sq`, `prev_grad`, all zero at first.
    ///
    /// **Defaults**: lr 0.001, betas 0.98, 0.92 and 0.99, eps 1e-8; [`paper`](Adan::paper) (the authors' code) diff_weight 0.92,
    /// proximal decay; [`optax`](Adan::optax) (which has no default lr) diff_weight 0.08, eps_root 1e-8, decoupled decay.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Adan, step};
    ///
    /// let mut params = [1.0];
    /// let (mut m, mut v, mut n, mut prev) = ([0.0], [0.0], [0.0], [0.0]);
    /// step(&Adan::paper(), 1, &mut params, &[9.0], &mut [&mut m, &mut v, &mut n, &mut prev])?;
    /// assert!((params[0] - 0.999).abs() < 1e-6);
    /// assert_eq!(prev, [9.0]);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Xie et al., "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models", 2022.
    ///
    /// **Where frameworks differ**: the paper writes its betas as the part that is new, the code as the part that is kept, and
    /// both weigh the difference by 0.92. optax took the names of the one with the numbers of the other, and weighs it by 0.08.
    pub struct Adan = "adan" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_diff` after a step.
        beta2: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta3: f64 => BelowOne,
        /// The weight of the differences in the look-ahead.
        diff_weight: f64 => Unit,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Added inside the root, to the corrected second moment.
        eps_root: f64 => NonNegative,
    }
}

impl Adan {
    /// As the authors' code.
    #[must_use]
    pub const fn paper() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.98,
            beta2: 0.92,
            beta3: 0.99,
            diff_weight: 0.92,
            eps: 1e-8,
            eps_root: 0.0,
            common: Common::decay(Decay::Proximal, 0.0),
        }
    }

    /// As `optax.adan`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { diff_weight: 0.08, eps_root: 1e-8, common: Common::decoupled(0.0), ..Self::paper() }
    }
}

impl Rule for Adan {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                EXP_AVG,
                Slot::full("exp_avg_diff", Role::Mean),
                EXP_AVG_SQ,
                Slot::full("prev_grad", Role::Gradient),
            ]
        }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let root = Root::new(self.eps, AdamEps::AfterCorrection, self.eps_root, correction(self.beta3, step));
        let lr = self.lr * root.scale;
        visitor.visit(Differences {
            first: step == 1,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            rest3: (1.0 - self.beta3) as f32,
            weight: self.diff_weight as f32,
            along: (lr / correction(self.beta1, step)) as f32,
            ahead: (lr * self.diff_weight / correction(self.beta2, step)) as f32,
            root,
        })
    }
}

#[derive(Clone, Copy)]
struct Differences {
    first: bool,
    rest1: f32,
    rest2: f32,
    rest3: f32,
    weight: f32,
    along: f32,
    ahead: f32,
    root: Root,
}

impl Kernel<4> for Differences {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v, n, prev]: [L; 4]) -> (Change<L>, [L; 4]) {
        let g = g.squarable();
        let d = if self.first { g.splat(0.0) } else { g - prev };
        let m = m.lerp(g, self.rest1);
        let v = v.lerp(d, self.rest2);
        let look = g + d * self.weight;
        let n = n.lerp(look * look, self.rest3);
        (Change::By((m * self.along + v * self.ahead) / self.root.of(n)), [m, v, n, g])
    }
}
