use crate::{
    rule::{
        choices::choices,
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, MAX_EXP_AVG_SQ, Slot},
    },
    rules::parts::moments::{AdamEps, Moments, Root, correction},
    simd::lane::Lane,
};

choices! {
    /// AMSGrad divides by the largest second moment so far. This option says whether Adam does, and of what the maximum is.
    pub enum AmsGrad {
        /// Plain Adam.
        Off = "off",
        /// The maximum of the raw second moments, corrected afterwards: PyTorch, Keras.
        Raw = "raw",
        /// The maximum of the corrected second moments: optax.
        Corrected = "corrected",
    }
}

rule_options! {
    /// Adam: a moving average of the gradient, divided by the root of a moving average of its square.
    ///
    /// ```text
    /// exp_avg    m = beta1*m + (1-beta1)*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// m^ = m/(1-beta1^t);  v^ = v/(1-beta2^t)
    /// p = p - lr * m^ / (sqrt(v^ + eps_root) + eps)
    ///
    /// eps "hat":          p = p - lr * m^ / ((sqrt(v) + eps) / sqrt(1-beta2^t))
    /// amsgrad raw:        max = max(max, v), which takes the place of v in v^
    /// amsgrad corrected:  max = max(max, v^), which takes the place of v^
    /// without bias_correction1 beta1^t is 0 here, and beta2^t without bias_correction2
    /// ```
    ///
    /// The corrections are folded into the step's coefficients: an element costs one root and one division.
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, with AMSGrad also `max_exp_avg_sq`; all zero at first.
    ///
    /// **Defaults**: [`torch`](Adam::torch) and [`optax`](Adam::optax) lr 0.001, betas 0.9 and 0.999, eps 1e-8 after
    /// correction (optax has no default lr); [`keras`](Adam::keras) the same with eps 1e-7 as epsilon hat. AdamW, which
    /// is Adam with decoupled weight decay, has its presets at [`AdamW`](crate::AdamW).
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses AMSGrad of corrected moments together
    /// with epsilon hat or without bias_correction2, which would have to be accepted and ignored.
    ///
    /// ```
    /// use gradstep::{Adam, step};
    ///
    /// let (mut params, mut exp_avg, mut exp_avg_sq) = ([1.0], [0.0], [0.0]);
    /// step(&Adam::torch(), 1, &mut params, &[123.0], &mut [&mut exp_avg, &mut exp_avg_sq])?;
    /// assert!((params[0] - 0.999).abs() < 1e-6); // the first step is lr, whatever the gradient's scale
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Papers**: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; Reddi, Kale and Kumar, "On the
    /// Convergence of Adam and Beyond", 2018, for AMSGrad; Loshchilov and Hutter, "Decoupled Weight Decay
    /// Regularization", 2019, for AdamW.
    ///
    /// **Where frameworks differ**: in where epsilon stands; in whether AMSGrad takes the maximum before or after
    /// correction; in what `weight_decay` means (L2 in PyTorch's Adam, decoupled in Keras). optax' switches
    /// `bias_correction_mu` and `bias_correction_nu` of AMSGrad are `bias_correction1` and, where it is on, amsgrad
    /// "corrected", or else "raw" without `bias_correction2`.
    pub struct Adam = "adam" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root, where `eps_place` says.
        eps: f64 => NonNegative,
        /// Where `eps` stands.
        eps_place: AdamEps,
        /// Added inside the root, to the corrected second moment.
        eps_root: f64 => NonNegative,
        /// Divide by the largest second moment so far.
        amsgrad: AmsGrad,
        /// Divide `exp_avg` by what it weighs beside the zero that it started from.
        bias_correction1: bool,
        /// The same for `exp_avg_sq`.
        bias_correction2: bool,
    }
    refused by Adam::contradiction
}

impl Adam {
    /// As `torch.optim.Adam`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_place: AdamEps::AfterCorrection,
            eps_root: 0.0,
            amsgrad: AmsGrad::Off,
            bias_correction1: true,
            bias_correction2: true,
            common: Common::NONE,
        }
    }

    /// As `keras.optimizers.Adam`. Its weight decay is off and, when switched on, decoupled.
    #[must_use]
    pub const fn keras() -> Self {
        Self { eps: 1e-7, eps_place: AdamEps::Hat, ..Self::torch() }.decoupled(0.0)
    }

    /// As `optax.adam`.
    #[must_use]
    pub const fn optax() -> Self {
        Self::torch()
    }

    /// As `optax.amsgrad`. By name it is `AnyRule::named("amsgrad")`.
    #[must_use]
    pub const fn optax_amsgrad() -> Self {
        Self { amsgrad: AmsGrad::Corrected, ..Self::optax() }
    }

    /// With decoupled weight decay.
    pub(super) const fn decoupled(self, weight_decay: f64) -> Self {
        Self { common: Common::decoupled(weight_decay), ..self }
    }

    fn contradiction(&self) -> Option<&'static str> {
        if self.amsgrad != AmsGrad::Corrected {
            None
        } else if !self.bias_correction2 {
            Some("amsgrad \"corrected\" needs bias_correction2")
        } else if self.eps_place == AdamEps::Hat {
            Some("amsgrad \"corrected\" excludes epsilon hat, which is added to a raw moment")
        } else {
            None
        }
    }
}

impl Rule for Adam {
    rule_methods!();

    fn convention(&self) -> &'static str {
        if self.amsgrad == AmsGrad::Off { "" } else { self.amsgrad.word() }
    }

    fn slots(&self) -> &'static [Slot] {
        match self.amsgrad {
            AmsGrad::Off => &[EXP_AVG, EXP_AVG_SQ],
            AmsGrad::Raw | AmsGrad::Corrected => &[EXP_AVG, EXP_AVG_SQ, MAX_EXP_AVG_SQ],
        }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> V::Output {
        let moments = Moments::new(self.beta1, self.beta2);
        let (correction1, correction2) = self.corrections(step);
        match self.amsgrad {
            AmsGrad::Off => visitor.visit(Plain { moments, divide: self.divide(correction1, correction2) }),
            AmsGrad::Raw => visitor.visit(Largest {
                moments,
                correct: 1.0,
                divide: self.divide(correction1, correction2),
            }),
            AmsGrad::Corrected => visitor.visit(Largest {
                moments,
                correct: (1.0 / correction2) as f32,
                divide: self.divide(correction1, 1.0),
            }),
        }
    }
}

impl Adam {
    fn corrections(&self, step: u64) -> (f64, f64) {
        let of = |on, beta| if on { correction(beta, step) } else { 1.0 };
        (of(self.bias_correction1, self.beta1), of(self.bias_correction2, self.beta2))
    }

    fn divide(&self, correction1: f64, correction2: f64) -> Divide {
        let root = Root::new(self.eps, self.eps_place, self.eps_root, correction2);
        Divide { lr: (self.lr * root.scale / correction1) as f32, root }
    }
}

#[derive(Clone, Copy)]
struct Divide {
    lr: f32,
    root: Root,
}

impl Divide {
    #[inline(always)]
    fn change<L: Lane>(self, m: L, v: L) -> L {
        m * self.lr / self.root.of(v)
    }
}

#[derive(Clone, Copy)]
struct Plain {
    moments: Moments,
    divide: Divide,
}

impl Kernel<2> for Plain {
    const L2_IN_LOOP: bool = true;

    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        (Change::By(self.divide.change(m, v)), [m, v])
    }
}

/// AMSGrad.
#[derive(Clone, Copy)]
struct Largest {
    moments: Moments,
    /// What a second moment is multiplied with before the maximum is taken.
    correct: f32,
    divide: Divide,
}

impl Kernel<3> for Largest {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [m, v, max]: [L; 3]) -> (Change<L>, [L; 3]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        let max = max.max(v * self.correct);
        (Change::By(self.divide.change(m, max)), [m, v, max])
    }
}
