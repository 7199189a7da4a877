use crate::{
    rule::{
        common::{Common, Decay},
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{EXP_AVG, EXP_AVG_SQ, Slot},
        sums::{Measures, Sum, scalar},
    },
    rules::parts::{
        moments::{AdamEps, Moments, Root, correction},
        trust_ratio::trust_ratio,
    },
    simd::{factor::Factor, lane::Lane},
};

rule_options! {
    /// LAMB: Adam whose step is scaled, tensor by tensor, to the size of the parameters.
    ///
    /// ```text
    /// exp_avg    m = beta1*m + (1-beta1)*g
    /// exp_avg_sq v = beta2*v + (1-beta2)*g^2
    /// u = m/(1-beta1^t) / (sqrt(v/(1-beta2^t) + eps_root) + eps) + weight_decay*p
    /// trust_ratio = norm(p)/norm(u), and 1 where either norm is 0
    /// p = p - lr*trust_ratio*u
    /// ```
    ///
    /// `weight_decay*p` is a part of `u` with the decay "update" alone.
    ///
    /// The norms are those of the whole tensor.
    ///
    /// **State**: `exp_avg`, `exp_avg_sq`, and the scalar `trust_ratio`, which the last step found; all zero at first.
    ///
    /// **Defaults**: lr 0.001 (optax has none), betas 0.9 and 0.999; [`optax`](Lamb::optax) eps 1e-6; [`keras`](Lamb::keras) eps
    /// 1e-7. `weight_decay` does in each what the framework's does: the decay is "update" in optax, and decoupled, beside the
    /// scaled step, in Keras.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain.
    ///
    /// ```
    /// use gradstep::{Lamb, step};
    ///
    /// let (mut params, mut m, mut v, mut trust_ratio) = ([3.0, 4.0], [0.0; 2], [0.0; 2], [0.0]);
    /// let rule = Lamb::optax().lr(0.1)?.eps(0.0)?;
    /// step(&rule, 1, &mut params, &[7.0, 0.001], &mut [&mut m, &mut v, &mut trust_ratio])?;
    /// assert!((trust_ratio[0] - 5.0 / 2f32.sqrt()).abs() < 1e-6); // the first u is 1 in each element
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", 2020.
    ///
    /// **Where frameworks differ**: in whether decay is inside the norm (optax, the paper) or beside it (Keras).
    pub struct Lamb = "lamb" {
        /// Learning rate.
        lr: f64 => NonNegative,
        /// What is left of `exp_avg` after a step.
        beta1: f64 => BelowOne,
        /// What is left of `exp_avg_sq` after a step.
        beta2: f64 => BelowOne,
        /// Added outside the root, after correction.
        eps: f64 => NonNegative,
        /// Added inside the root, to the corrected second moment.
        eps_root: f64 => NonNegative,
    }
    within update: Decay
}

impl Lamb {
    /// As `optax.lamb`.
    #[must_use]
    pub const fn optax() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            eps_root: 0.0,
            common: Common::decay(Decay::Update, 0.0),
        }
    }

    /// As `keras.optimizers.Lamb`.
    #[must_use]
    pub const fn keras() -> Self {
        Self { eps: 1e-7, common: Common::decoupled(0.0), ..Self::optax() }
    }

    fn update(&self, step: u64) -> Update {
        let correction2 = correction(self.beta2, step);
        let root = Root::new(self.eps, AdamEps::AfterCorrection, self.eps_root, correction2);
        Update {
            scale: (root.scale / correction(self.beta1, step)) as f32,
            root,
            decay: self.common.update_decay() as f32,
        }
    }
}

impl Rule for Lamb {
    rule_methods!();

    fn slots(&self) -> &'static [Slot] {
        const { &[EXP_AVG, EXP_AVG_SQ, Slot::scalar("trust_ratio")] }
    }

    fn with_measuring_kernel<V: KernelVisitor>(&self, step: u64, _: &[f64], visitor: V) -> Option<V::Output> {
        let moments = Moments::new(self.beta1, self.beta2);
        Some(visitor.visit(Measured { moments, update: self.update(step) }))
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> V::Output {
        let ratio = scalar(scalars, 0);
        visitor.visit(Scaled { update: self.update(step), rate: Factor::of(self.lr * ratio) })
    }

    fn measures(&self) -> Option<&dyn Measures> {
        Some(self)
    }
}

impl Measures for Lamb {
    fn sums(&self) -> &'static [Sum] {
        const { &[Sum::squares(2), Sum::squares(3)] }
    }

    fn settle(&self, _: u64, sums: &[f64], scalars: &mut [f64]) {
        if let ([params, update], [ratio]) = (sums, scalars) {
            *ratio = trust_ratio(*params, *update, 1.0, 0.0);
        }
    }
}

#[derive(Clone, Copy)]
struct Update {
    scale: f32,
    root: Root,
    decay: f32,
}

impl Update {
    #[inline(always)]
    fn of<L: Lane>(self, p: L, m: L, v: L) -> L {
        m * self.scale / self.root.of(v) + p * self.decay
    }
}

/// Moves the averages, and puts parameter and update out.
#[derive(Clone, Copy)]
struct Measured {
    moments: Moments,
    update: Update,
}

impl Kernel<4> for Measured {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, [m, v, ..]: [L; 4]) -> (Change<L>, [L; 4]) {
        let g = g.squarable();
        let (m, v) = self.moments.update(g, m, v);
        (Change::To(p), [m, v, p, self.update.of(p, m, v)])
    }
}

/// Makes the update once more: that is less to move than to keep it.
#[derive(Clone, Copy)]
struct Scaled {
    update: Update,
    rate: Factor,
}

impl Kernel<2> for Scaled {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, _: L, [m, v]: [L; 2]) -> (Change<L>, [L; 2]) {
        (Change::By(self.rate.times(self.update.of(p, m, v))), [m, v])
    }
}
