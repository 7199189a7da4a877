use crate::{
    rule::{
        common::{Common, L1},
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, Role, Slot},
    },
    simd::lane::Lane,
};

rule_options! {
    /// FTRL-Proximal: follow the regularised leader. Parameters are computed anew from all gradients so far, and with L1 many
    /// of them are exactly zero.
    ///
    /// ```text
    /// accumulator n' = n + g^2
    /// linear z = z + g + 2*l2_shrinkage*p - (sqrt(n') - sqrt(n))/lr * p
    /// p = (clamp(z, -l1, l1) - z) / (sqrt(n')/lr + 2*l2_strength + beta/lr)
    /// ```
    ///
    /// `l1` is that of the formula with the l1_form "update" alone, which is that of the preset.
    ///
    /// **State**: `accumulator`, `initial_accumulator_value` at first; `linear`, zero at first.
    ///
    /// The first step forgets the parameter's value, but for what the formula takes of it: start from zero, as is usual.
    ///
    /// **Defaults**: [`keras`](Ftrl::keras) lr 0.001, initial_accumulator_value 0.1, all else 0, decoupled decay. Keras'
    /// `l1_regularization_strength` is `l1`, its `l2_regularization_strength` is `l2_strength`.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain; an lr of 0 is, as the formula divides by it. With
    /// nothing in the denominator (an initial accumulator, beta and l2 of 0) and no gradient, the parameter becomes NaN, 0/0.
    ///
    /// ```
    /// use gradstep::{Ftrl, init_state, step};
    ///
    /// let rule = Ftrl::keras().lr(1.0)?.initial_accumulator_value(0.0)?.l1(1.0)?;
    /// let (mut params, mut accumulator, mut linear) = ([0.0, 0.0], [0.0; 2], [0.0; 2]);
    /// init_state(&rule, &params, &mut [&mut accumulator, &mut linear])?;
    /// step(&rule, 1, &mut params, &[2.0, 0.5], &mut [&mut accumulator, &mut linear])?;
    /// assert_eq!(params, [-0.5, 0.0]); // (1 - 2)/2, and a gradient within l1
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013; shrinkage and beta are TensorFlow's.
    ///
    /// **Where frameworks differ**: only Keras and TensorFlow have it. Their `learning_rate_power` is always -0.5 here: other
    /// powers are no operation of IEEE 754.
    pub struct Ftrl = "ftrl" {
        /// Learning rate.
        lr: f64 => Positive,
        /// What `accumulator` starts from.
        initial_accumulator_value: f64 => NonNegative,
        /// L2 regularisation of the leader.
        l2_strength: f64 => NonNegative,
        /// L2 regularisation by the gradient; it does not enter `accumulator`.
        l2_shrinkage: f64 => NonNegative,
        /// Added to the root: the paper's beta.
        beta: f64 => NonNegative,
    }
    within update: L1
}

impl Ftrl {
    /// As `keras.optimizers.Ftrl`.
    #[must_use]
    pub const fn keras() -> Self {
        Self {
            lr: 1e-3,
            initial_accumulator_value: 0.1,
            l2_strength: 0.0,
            l2_shrinkage: 0.0,
            beta: 0.0,
            common: Common { l1_form: L1::Update, ..Common::decoupled(0.0) },
        }
    }
}

impl Rule for Ftrl {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("accumulator", Role::Sum).starting_as(Initial::Rule),
                Slot::full("linear", Role::Sum),
            ]
        }
    }

    fn initial(&self, slot: usize) -> f32 {
        if slot == 0 { self.initial_accumulator_value as f32 } else { 0.0 }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Leader {
            per_lr: (1.0 / self.lr) as f32,
            l1: self.common.update_l1() as f32,
            l2: (2.0 * self.l2_strength + self.beta / self.lr) as f32,
            shrinkage: (2.0 * self.l2_shrinkage) as f32,
        })
    }
}

#[derive(Clone, Copy)]
struct Leader {
    per_lr: f32,
    l1: f32,
    l2: f32,
    shrinkage: f32,
}

impl Kernel<2> for Leader {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [n, z]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let (square, zero) = (g * g, g.splat(0.0));
        let sum = (n + square).min(zero.splat(f32::MAX));
        let root = sum.sqrt();
        // The difference of the roots, without the cancellation.
        let growth = L::select(zero.lt(sum), square / (root + n.sqrt()), zero);
        let z = z + (g + p * self.shrinkage - growth * self.per_lr * p);
        let clamped = z.max(z.splat(-self.l1)).min(z.splat(self.l1));
        (Change::To((clamped - z) / (root * self.per_lr + self.l2)), [sum, z])
    }
}
