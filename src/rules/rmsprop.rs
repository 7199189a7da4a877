use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, MOMENTUM_BUFFER, Role, Slot},
    },
    rules::parts::{
        moments::{AdamEps, Root, RootEps, correction},
        velocity::{Coefficients, Velocity},
    },
    simd::lane::Lane,
};

rule_options! {
    /// RMSProp: each coordinate's step is divided by the root of a moving average of its squared gradients.
    ///
    /// ```text
    /// square_avg = alpha*square_avg + (1-alpha)*g^2
    /// centered:    grad_avg = alpha*grad_avg + (1-alpha)*g
    ///              variance = max(0, square_avg - grad_avg^2)
    /// else:        variance = square_avg
    /// u = g / (sqrt(variance) + eps), with eps "inside" g / sqrt(variance + eps)
    ///
    /// bias_correction: square_avg/(1-alpha^t) and grad_avg/(1-alpha^t) in the variance
    ///
    /// momentum 0:  p = p - lr*u
    /// else:        as Momentum, with u for the gradient; the velocity is momentum_buffer
    /// ```
    ///
    /// **State**: `square_avg`, at first `initial_accumulator_value`; with momentum above 0 also `momentum_buffer`;
    /// with `centered` also `grad_avg`; in that order, the latter two zero at first.
    ///
    /// **Defaults**: [`torch`](RmsProp::torch) lr 0.01, alpha 0.99, eps 1e-8 outside the root, momentum 0 (`sum`);
    /// [`keras`](RmsProp::keras) lr 0.001, alpha (there `rho`) 0.9, 1e-7 inside, momentum 0 (`lr-inside`);
    /// [`optax`](RmsProp::optax) alpha (there `decay`) 0.9, 1e-8 inside, momentum 0 (`lr-inside-negative`; it has no
    /// default lr: 0.001 here); [`dfdx`](RmsProp::dfdx) lr 0.01, alpha 0.9, 1e-8 inside, initial 1.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses Nesterov without momentum, and a
    /// centered variance that is 0 at the first step (with bias correction, or with alpha 0) without an eps of lr/2^58 at least.
    ///
    /// ```
    /// use gradstep::{RmsProp, Rule, step};
    ///
    /// let rule = RmsProp::torch().momentum(0.9)?.centered(true)?;
    /// let names = rule.slots().iter().map(|slot| slot.name);
    /// assert!(names.eq(["square_avg", "momentum_buffer", "grad_avg"]));
    ///
    /// let (mut params, mut square_avg) = ([1.0], [0.0]);
    /// step(&RmsProp::torch(), 1, &mut params, &[2.0], &mut [&mut square_avg])?;
    /// assert!((params[0] - 0.9).abs() < 1e-6);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Papers**: Tieleman and Hinton, lecture 6.5 of "Neural Networks for Machine Learning", 2012; Graves,
    /// "Generating Sequences With Recurrent Neural Networks", 2013, for the centered form.
    ///
    /// **Where frameworks differ**: in where epsilon stands, in where the learning rate stands in the velocity, and
    /// in the initial average; optax alone offers bias correction. The centered variance can come out below zero by
    /// rounding, and PyTorch's root of it is NaN then; here it is taken as zero. Centered and corrected, the first
    /// step's variance is that of a single number: nothing but rounding and epsilon is divided by.
    pub struct RmsProp = "rmsprop" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of the averages after a step.
        alpha: f64 => BelowOne,
        /// Added to the root or to the variance, as `eps_place` says.
        eps: f64 => NonNegative,
        /// Where `eps` stands: optax' `eps_in_sqrt`.
        eps_place: RootEps,
        /// Divide by the standard deviation instead of the root of the mean square.
        centered: bool,
        /// What is left of the velocity after a step; at 0 there is none.
        momentum: f64 => BelowOne,
        /// Nesterov's look-ahead.
        nesterov: bool,
        /// Where the learning rate stands in the velocity.
        velocity: Velocity,
        /// What `square_avg` starts from.
        initial_accumulator_value: f64 => NonNegative,
        /// Divide the averages by what they weigh beside what they started from.
        bias_correction: bool,
    }
    refused by RmsProp::contradiction
}

impl RmsProp {
    /// As `torch.optim.RMSprop`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 1e-2,
            alpha: 0.99,
            eps: 1e-8,
            eps_place: RootEps::Outside,
            centered: false,
            momentum: 0.0,
            nesterov: false,
            velocity: Velocity::Sum,
            initial_accumulator_value: 0.0,
            bias_correction: false,
            common: Common::NONE,
        }
    }

    /// As `keras.optimizers.RMSprop`.
    #[must_use]
    pub const fn keras() -> Self {
        Self {
            lr: 1e-3,
            alpha: 0.9,
            eps: 1e-7,
            eps_place: RootEps::Inside,
            velocity: Velocity::LrInside,
            common: Common::decoupled(0.0),
            ..Self::torch()
        }
    }

    /// As `optax.rmsprop`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { eps: 1e-8, velocity: Velocity::LrInsideNegative, common: Common::NONE, ..Self::keras() }
    }

    /// As `dfdx::optim::RMSprop`.
    #[must_use]
    pub const fn dfdx() -> Self {
        Self { alpha: 0.9, eps_place: RootEps::Inside, initial_accumulator_value: 1.0, ..Self::torch() }
    }

    fn contradiction(&self) -> Option<&'static str> {
        let of_one = self.bias_correction || (1.0 - self.alpha) as f32 == 1.0;
        if self.nesterov && self.momentum == 0.0 {
            Some("nesterov needs momentum above 0")
        } else if self.centered && of_one && (self.eps == 0.0 || self.lr > LARGEST_BY_EPS * self.eps) {
            Some(
                "the centered variance of a single gradient is 0, and needs an eps of lr/2^58 at least beside it",
            )
        } else {
            None
        }
    }
}

/// A gradient counts as 2^62 at most, and a velocity ends at 2^120.
const LARGEST_BY_EPS: f64 = (1u64 << 58) as f64;

impl Rule for RmsProp {
    rule_methods!();

    fn convention(&self) -> &'static str {
        if self.momentum > 0.0 { self.velocity.word() } else { "" }
    }

    fn slots(&self) -> &'static [Slot] {
        match (self.momentum > 0.0, self.centered) {
            (false, false) => const { &[Slot::full("square_avg", Role::Square).starting_as(Initial::Rule)] },
            (false, true) => {
                const {
                    &[
                        Slot::full("square_avg", Role::Square).starting_as(Initial::Rule),
                        Slot::full("grad_avg", Role::Mean),
                    ]
                }
            }
            (true, false) => {
                const { &[Slot::full("square_avg", Role::Square).starting_as(Initial::Rule), MOMENTUM_BUFFER] }
            }
            (true, true) => {
                const {
                    &[
                        Slot::full("square_avg", Role::Square).starting_as(Initial::Rule),
                        MOMENTUM_BUFFER,
                        Slot::full("grad_avg", Role::Mean),
                    ]
                }
            }
        }
    }

    fn initial(&self, slot: usize) -> f32 {
        if slot == 0 { self.initial_accumulator_value as f32 } else { 0.0 }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let correction = if self.bias_correction { correction(self.alpha, step) } else { 1.0 };
        let (eps, eps_root) = self.eps_place.split(self.eps);
        let root = Root::new(eps, AdamEps::AfterCorrection, eps_root, correction);
        let normalize =
            Normalize { rest: (1.0 - self.alpha) as f32, mean_scale: (1.0 / correction) as f32, root };
        let lr = (self.lr * root.scale) as f32;
        let velocity = self.velocity.coefficients(self.lr, self.momentum, self.nesterov).scaled(root.scale);
        match (self.momentum > 0.0, self.centered) {
            (false, false) => visitor.visit(Plain { normalize, lr }),
            (false, true) => visitor.visit(Centered { normalize, lr }),
            (true, false) => visitor.visit(Heavy { normalize, velocity }),
            (true, true) => visitor.visit(HeavyCentered { normalize, velocity }),
        }
    }
}

/// Divides by the root of raw averages; what bias correction would make of it is in the coefficients that follow.
#[derive(Clone, Copy)]
struct Normalize {
    rest: f32,
    /// What the square of `grad_avg` is corrected by once more than `square_avg`.
    mean_scale: f32,
    root: Root,
}

impl Normalize {
    #[inline(always)]
    fn divide<L: Lane>(self, g: L, variance: L) -> L {
        g / self.root.of(variance)
    }

    /// By the standard deviation; the first `max` operand is the one whose NaN stays.
    #[inline(always)]
    fn divide_centered<L: Lane>(self, g: L, square_avg: L, grad_avg: L) -> L {
        let square_of_mean = grad_avg * grad_avg * self.mean_scale;
        self.divide(g, (square_avg - square_of_mean).max(g.splat(0.0)))
    }
}

#[derive(Clone, Copy)]
struct Plain {
    normalize: Normalize,
    lr: f32,
}

impl Kernel<1> for Plain {
    const L2_IN_LOOP: bool = true;

    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [square_avg]: [L; 1]) -> (Change<L>, [L; 1]) {
        let g = g.squarable();
        let square_avg = square_avg.lerp(g * g, self.normalize.rest);
        (Change::By(self.normalize.divide(g * self.lr, square_avg)), [square_avg])
    }
}

#[derive(Clone, Copy)]
struct Centered {
    normalize: Normalize,
    lr: f32,
}

impl Kernel<2> for Centered {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [square_avg, grad_avg]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let square_avg = square_avg.lerp(g * g, self.normalize.rest);
        let grad_avg = grad_avg.lerp(g, self.normalize.rest);
        let change = self.normalize.divide_centered(g * self.lr, square_avg, grad_avg);
        (Change::By(change), [square_avg, grad_avg])
    }
}

#[derive(Clone, Copy)]
struct Heavy {
    normalize: Normalize,
    velocity: Coefficients,
}

impl Kernel<2> for Heavy {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [square_avg, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let square_avg = square_avg.lerp(g * g, self.normalize.rest);
        let (change, v) = self.velocity.follow(self.normalize.divide(g, square_avg), v);
        (Change::By(change), [square_avg, v])
    }
}

#[derive(Clone, Copy)]
struct HeavyCentered {
    normalize: Normalize,
    velocity: Coefficients,
}

impl Kernel<3> for HeavyCentered {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [square_avg, v, grad_avg]: [L; 3]) -> (Change<L>, [L; 3]) {
        let g = g.squarable();
        let square_avg = square_avg.lerp(g * g, self.normalize.rest);
        let grad_avg = grad_avg.lerp(g, self.normalize.rest);
        let u = self.normalize.divide_centered(g, square_avg, grad_avg);
        let (change, v) = self.velocity.follow(u, v);
        (Change::By(change), [square_avg, v, grad_avg])
    }
}
