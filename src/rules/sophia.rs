use crate::{
    rule::{
        choices::choices,
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, Initial, Role, Slot},
    },
    rules::parts::moments::correction,
    simd::lane::Lane,
};

choices! {
    /// How Sophia's `eps` keeps the denominator from zero.
    pub enum SophiaEps {
        /// Added to it: the authors' code.
        Added = "added",
        /// The least that it can be: optax.
        Floor = "floor",
    }
}

rule_options! {
    /// Sophia: an average of gradients, divided by the curvature and bounded.
    ///
    /// ```text
    /// exp_avg m = beta1*m + (1-beta1)*g, with bias_correction m^ = m/(1-beta1^t), else m^ = m
    /// p = p - lr*clamp(m^ / (gamma*h + eps), -clip, clip)
    ///
    /// eps "floor": m^ / max(gamma*h, eps)
    /// ```
    ///
    /// `h` is the diagonal of the Hessian, which only the caller can estimate (every ten steps or so, by Hutchinson's or
    /// Gauss-Newton-Bartlett's method): the caller keeps an average of the estimates in the state `hessian`, which the rule reads
    /// and does not write. [`step`](crate::step()) with [`Signum`](crate::Signum) is what remains where `h` is 0.
    ///
    /// **State**: `exp_avg`, zero at first; `hessian`, the caller's, zero at first.
    ///
    /// **Defaults**: lr 0.001 (the authors have several), beta1 0.965, clip 1, decoupled decay; [`paper`](Sophia::paper) gamma
    /// 0.04, eps 1e-15 added, no decay; [`optax`](Sophia::optax) gamma 0.01, eps 1e-8 as floor, bias correction, decay 0.0001.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Sophia, step};
    ///
    /// let rule = Sophia::paper().lr(0.5)?.beta1(0.0)?.gamma(1.0)?;
    /// let (mut params, mut exp_avg, mut hessian) = ([1.0, 1.0], [0.0; 2], [8.0, 0.001]);
    /// step(&rule, 1, &mut params, &[4.0, 4.0], &mut [&mut exp_avg, &mut hessian])?;
    /// assert_eq!(params, [0.75, 0.5]); // 4/8, and 4000 bounded by 1
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Liu et al., "Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training", 2023.
    ///
    /// **Where frameworks differ**: in epsilon, in bias correction, and in `gamma`, which the authors' code calls rho and
    /// multiplies with the batch size. The authors bound the magnitude alone, so that a negative curvature turns the step
    /// around without a bound; here both sides are bounded.
    pub struct Sophia = "sophia" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What the curvature is multiplied with.
        gamma: f64 => NonNegative,
        /// Keeps the denominator from zero.
        eps: f64 => NonNegative,
        /// How `eps` does so.
        eps_place: SophiaEps,
        /// The most that a parameter moves, in units of `lr`.
        clip: f64 => NonNegative,
        /// Divide the average by what the zeros that it started from still weigh.
        bias_correction: bool,
    }
}

impl Sophia {
    /// As the authors' code with a batch size of 1.
    #[must_use]
    pub const fn paper() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.965,
            gamma: 0.04,
            eps: 1e-15,
            eps_place: SophiaEps::Added,
            clip: 1.0,
            bias_correction: false,
            common: Common::decoupled(0.0),
        }
    }

    /// As `optax.contrib.sophia`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            gamma: 0.01,
            eps: 1e-8,
            eps_place: SophiaEps::Floor,
            bias_correction: true,
            common: Common::decoupled(1e-4),
            ..Self::paper()
        }
    }
}

impl Rule for Sophia {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[EXP_AVG, Slot::full("hessian", Role::Square).starting_as(Initial::Caller)] }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let correction = if self.bias_correction { correction(self.beta1, step) } else { 1.0 };
        let (added, floor) = match self.eps_place {
            SophiaEps::Added => (self.eps, f64::NEG_INFINITY),
            SophiaEps::Floor => (0.0, self.eps),
        };
        visitor.visit(Curved {
            lr: self.lr as f32,
            rest: (1.0 - self.beta1) as f32,
            correct: (1.0 / correction) as f32,
            gamma: self.gamma as f32,
            added: added as f32,
            floor: floor as f32,
            clip: self.clip as f32,
        })
    }
}

#[derive(Clone, Copy)]
struct Curved {
    lr: f32,
    rest: f32,
    correct: f32,
    gamma: f32,
    added: f32,
    floor: f32,
    clip: f32,
}

impl Kernel<2> for Curved {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, h]: [L; 2]) -> (Change<L>, [L; 2]) {
        let m = m.lerp(g, self.rest);
        let curvature = (h * self.gamma + self.added).max(h.splat(self.floor));
        let ratio = m * self.correct / curvature;
        let bounded = ratio.max(m.splat(-self.clip)).min(m.splat(self.clip));
        (Change::By(bounded * self.lr), [m, h])
    }
}
