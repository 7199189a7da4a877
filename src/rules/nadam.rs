use crate::{
    numbers::math::{powf, powi},
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Slot},
    },
    rules::parts::moments::{AdamEps, Ahead, Moments, Root, correction},
    simd::lane::Lane,
};

rule_options! {
    /// NAdam: Adam with Nesterov's look-ahead, and a momentum that grows over time.
    ///
    /// ```text
    /// exp_avg    m = beta1*m + (1-beta1)*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// mu_t = beta1*(1 - 0.96^(t*momentum_decay)/2), or beta1 without momentum_schedule
    /// m^ = mu_(t+1)*m / (1 - mu_1*...*mu_(t+1)) + (1-mu_t)*g / (1 - mu_1*...*mu_t)
    /// v^ = v/(1-beta2^t)
    /// p = p - lr * m^ / (sqrt(v^ + eps_root) + eps)
    /// ```
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, zero at first.
    ///
    /// **Defaults**: betas 0.9 and 0.999; [`torch`](NAdam::torch) lr 0.002, eps 1e-8, momentum_decay 0.004;
    /// [`keras`](NAdam::keras) lr 0.001, eps 1e-7, momentum_decay 1, decoupled decay; [`optax`](NAdam::optax) (Adam with
    /// `nesterov`) lr 0.001 (optax has no default), eps 1e-8, no schedule. With decoupled decay: [`NAdamW`](crate::NAdamW).
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{NAdam, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
    /// step(&NAdam::optax(), 1, &mut params, &[50.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// // 0.9*0.1/(1-0.9^2) + 0.1/(1-0.9) = 1.4737 times lr
    /// assert!((params[0] - 0.9985263).abs() < 1e-6);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
    ///
    /// **Where frameworks differ**: in the schedule of the momentum. PyTorch and Keras keep the running product of `mu` as
    /// state; here it follows from the step's number, at the cost of a loop of at most 3072 turns (some 8 us) before each step.
    pub struct NAdam = "nadam" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step, and what the momentum grows to.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Added inside the root, to the corrected second moment.
        eps_root: f64 => NonNegative,
        /// How fast the momentum grows.
        momentum_decay: f64 => NonNegative,
        /// True if the momentum grows at all.
        momentum_schedule: bool,
    }
}

impl NAdam {
    /// As `torch.optim.NAdam`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 2e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_root: 0.0,
            momentum_decay: 0.004,
            momentum_schedule: true,
            common: Common::NONE,
        }
    }

    /// As `keras.optimizers.Nadam`.
    #[must_use]
    pub const fn keras() -> Self {
        Self { lr: 1e-3, eps: 1e-7, momentum_decay: 1.0, ..Self::torch() }.decoupled(0.0)
    }

    /// As `optax.nadam`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { lr: 1e-3, momentum_schedule: false, ..Self::torch() }
    }

    /// With decoupled weight decay.
    pub(super) const fn decoupled(self, weight_decay: f64) -> Self {
        Self { common: Common::decoupled(weight_decay), ..self }
    }

    /// The weights of average and gradient in the step.
    fn ahead(&self, lr: f64, step: u64) -> Ahead {
        if !self.momentum_schedule {
            return Ahead::constant(lr, self.beta1, step);
        }
        let fade = powf(0.96, self.momentum_decay);
        let mu = |faded: f64| self.beta1 * (1.0 - 0.5 * faded);
        let (now, next) = (mu(powi(fade, step)), mu(powi(fade, step.saturating_add(1))));
        let product = self.momentum_product(fade, step);
        Ahead {
            average: (lr * next / (1.0 - product * next)) as f32,
            gradient: (lr * (1.0 - now) / (1.0 - product)) as f32,
        }
    }

    /// `mu_1*...*mu_t`
    fn momentum_product(&self, fade: f64, step: u64) -> f64 {
        let grown = step.saturating_sub(GROWING);
        let (mut product, mut faded, mut t) = (1.0, 1.0, grown);
        // Beside 1 a product below 2^-54 is nothing.
        while t < step && product > 5e-17 {
            faded *= fade;
            product *= self.beta1 * (1.0 - 0.5 * faded);
            t += 1;
        }
        product * powf(self.beta1, grown as f64)
    }
}

/// After so many steps `mu` is `beta1`, or else the product is nothing: the logarithms of all factors `1 - fade^i/2` add up to
/// about `0.58/ln(fade)`, so that a product above 5e-17 needs a fade below 0.985, of which the 3072nd power is 7e-21.
const GROWING: u64 = 3072;

impl Rule for NAdam {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        &[EXP_AVG, EXP_AVG_SQ]
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let correction = correction(self.beta2, step);
        let root = Root::new(self.eps, AdamEps::AfterCorrection, self.eps_root, correction);
        visitor.visit(LooksAhead {
            moments: Moments::new(self.beta1, self.beta2),
            ahead: self.ahead(self.lr * root.scale, step),
            root,
        })
    }
}

#[derive(Clone, Copy)]
struct LooksAhead {
    moments: Moments,
    ahead: Ahead,
    root: Root,
}

impl Kernel<2> for LooksAhead {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        (Change::By(self.ahead.of(m, g) / self.root.of(v)), [m, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The product with all its factors, in about 106 bits: a sum of two numbers, of which the second is small.
    fn naive(rule: &NAdam, fade: f64, step: u64) -> f64 {
        let times = |(hi, lo): (f64, f64), factor: f64| {
            let product = hi * factor;
            (product, hi.mul_add(factor, -product) + lo * factor)
        };
        let (mut product, mut faded) = ((1.0, 0.0), (1.0, 0.0));
        for _ in 0..step {
            faded = times(faded, fade);
            let rest = 1.0 - 0.5 * faded.0;
            product = times(times(product, rest), rule.beta1);
        }
        product.0 + product.1
    }

    #[test]
    fn product_is_that_of_all_factors() {
        for (beta1, decay) in
            [(0.9, 0.004), (0.9, 1.0), (0.999, 1.0), (0.9999, 0.5), (0.999_999, 0.4), (0.999_999, 7.0)]
        {
            let rule = NAdam { beta1, momentum_decay: decay, ..NAdam::torch() };
            let fade = powf(0.96, decay);
            for step in [1, 2, 10, 1000, GROWING - 1, GROWING, GROWING + 1, 10_000, 300_000] {
                let (found, exact) = (rule.momentum_product(fade, step), naive(&rule, fade, step));
                // What counts is its distance from 1.
                assert!((found - exact).abs() < 1e-13 * exact + 1e-16, "{rule:?} {step}: {found} {exact}");
            }
        }
    }

    #[test]
    fn product_at_any_step_takes_a_moment() {
        for beta1 in [0.0, 0.9, 0.999_999, 1.0 - 1e-12, 1.0 - f64::EPSILON / 2.0] {
            for decay in [0.0, 1e-37, 1e-9, 0.004, 1.0, 1e9] {
                let rule = NAdam { beta1, momentum_decay: decay, ..NAdam::torch() };
                for step in [100_000_000, 1 << 40, u64::MAX] {
                    let product = rule.momentum_product(powf(0.96, decay), step);
                    assert!((0.0..1.0).contains(&product), "{rule:?}, {step}: {product}");
                }
            }
        }
    }
}
