use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, Role, Slot},
    },
    rules::parts::moments::{AdamEps, Root, correction},
    simd::lane::Lane,
};

rule_options! {
    /// Yogi: Adam whose second moment moves by at most the new square, however far it is away.
    ///
    /// ```text
    /// exp_avg    m = beta1*m + (1-beta1)*g
    /// exp_avg_sq v = v - (1-beta2)*sign(v - g^2)*g^2
    /// m^ = m/(1-beta1^t);  v^ = v/(1-beta2^t)
    /// p = p - lr * m^ / (sqrt(v^ + eps_root) + eps)
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, both `initial_accumulator_value` at first.
    ///
    /// **Defaults**: [`optax`](Yogi::optax) lr 0.001 (optax has no default; the paper says 0.01), betas 0.9 and 0.999, eps
    /// 0.001, initial_accumulator_value 1e-6.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Yogi, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [4.0]);
    /// let rule = Yogi::optax().beta2(0.75)?;
    /// step(&rule, 9, &mut params, &[1.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert_eq!(exp_avg_sq, [3.75]); // a quarter of 1^2 less; Adam would have taken a quarter of 4 - 1^2
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Zaheer et al., "Adaptive Methods for Nonconvex Optimization", 2018.
    ///
    /// **Where frameworks differ**: only optax has it. It starts the first average, too, at the small positive value, so that a
    /// parameter without any gradient moves a little; and it corrects both averages as if they began at zero.
    pub struct Yogi = "yogi" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// How little `exp_avg_sq` moves: by 1-beta2 times the new square.
        beta2: f64 => BelowOne,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Added inside the root, to the corrected second moment.
        eps_root: f64 => NonNegative,
        /// What both averages start from.
        initial_accumulator_value: f64 => NonNegative,
    }
}

impl Yogi {
    /// As `optax.yogi`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-3,
            eps_root: 0.0,
            initial_accumulator_value: 1e-6,
            common: Common::NONE,
        }
    }
}

impl Rule for Yogi {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("exp_avg", Role::Momentum).starting_as(Initial::Rule),
                Slot::full("exp_avg_sq", Role::Square).starting_as(Initial::Rule),
            ]
        }
    }

    fn initial(&self, _: usize) -> f32 {
        self.initial_accumulator_value as f32
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let correction2 = correction(self.beta2, step);
        let root = Root::new(self.eps, AdamEps::AfterCorrection, self.eps_root, correction2);
        visitor.visit(Bounded {
            lr: (self.lr * root.scale / correction(self.beta1, step)) as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            root,
        })
    }
}

#[derive(Clone, Copy)]
struct Bounded {
    lr: f32,
    rest1: f32,
    rest2: f32,
    root: Root,
}

impl Kernel<2> for Bounded {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let m = m.lerp(g, self.rest1);
        let square = g * g;
        let v = v - (v - square).sign() * (square * self.rest2);
        (Change::By(m * self.lr / self.root.of(v)), [m, v])
    }
}
