use crate::{
    rule::{
        common::Common,
        declare::{rule_methods, rule_options},
        kernel::{Change, Kernel, KernelVisitor},
        rule::Rule,
        slots::{Initial, Role, Slot},
    },
    simd::lane::Lane,
};

rule_options! {
    /// Rprop: a step size for each parameter, which grows while the gradient keeps its sign and shrinks when it turns.
    ///
    /// ```text
    /// s = sign(g) * sign(prev)
    /// step_size = step_size * (eta_plus where s > 0, eta_minus where s < 0), within step_size_min and step_size_max
    /// g = 0 where s < 0
    /// p = p - sign(g)*step_size
    /// prev = g
    ///
    /// delayed: p = p - prev where s >= 0, with the old prev, and prev = sign(g)*step_size;
    ///          a step size that neither grows nor shrinks is left as it is
    /// ```
    ///
    /// For whole batches: the noise of small ones turns signs at random.
    ///
    /// **State**: `prev`, zero at first; `step_size`, `lr` at first.
    ///
    /// **Defaults**: eta_minus 0.5, eta_plus 1.2, step sizes from 1e-6 to 50 in both presets; [`torch`](Rprop::torch) lr 0.01;
    /// [`optax`](Rprop::optax) lr 0.001 (optax has no default), delayed.
    ///
    /// **Errors**: a setter refuses what is outside an option's domain. A step refuses bounds that exclude each other.
    ///
    /// ```
    /// use gradstep::{Rprop, init_state, step};
    ///
    /// let rule = Rprop::torch().lr(0.25)?;
    /// let (mut params, mut prev, mut step_size) = ([1.0], [0.0], [0.0]);
    /// init_state(&rule, &params, &mut [&mut prev, &mut step_size])?;
    /// step(&rule, 1, &mut params, &[7.0], &mut [&mut prev, &mut step_size])?;
    /// assert_eq!((params, step_size), ([0.75], [0.25]));
    /// step(&rule, 2, &mut params, &[0.1], &mut [&mut prev, &mut step_size])?;
    /// assert_eq!(step_size, [0.3]);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    ///
    /// **Paper**: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
    /// algorithm", 1993. This is the variant without backtracking (iRprop-).
    ///
    /// **Where frameworks differ**: optax applies at each step the change that it computed at the step before, and keeps that
    /// in its state; PyTorch keeps the gradient. Here signs are multiplied, not values, so that a product of tiny gradients
    /// doesn't vanish.
    pub struct Rprop = "rprop" {
        /// The first step size. Later it matters no more.
        lr: f64 => NonNegative,
        /// How a step size shrinks.
        eta_minus: f64 => BelowOne,
        /// How a step size grows.
        eta_plus: f64 => AboveOne,
        /// The smallest step size.
        step_size_min: f64 => NonNegative,
        /// The largest step size.
        step_size_max: f64 => NonNegative,
        /// Apply the change of the step before.
        delayed: bool,
    }
    refused by Rprop::contradiction
}

impl Rprop {
    /// As `torch.optim.Rprop`.
    #[must_use]
    pub const fn torch() -> Self {
        Self {
            lr: 1e-2,
            eta_minus: 0.5,
            eta_plus: 1.2,
            step_size_min: 1e-6,
            step_size_max: 50.0,
            delayed: false,
            common: Common::NONE,
        }
    }

    /// As `optax.rprop`.
    #[must_use]
    pub const fn optax() -> Self {
        Self { lr: 1e-3, delayed: true, ..Self::torch() }
    }

    fn contradiction(&self) -> Option<&'static str> {
        (self.step_size_min > self.step_size_max).then_some("step_size_min is above step_size_max")
    }
}

impl Rule for Rprop {
    rule_methods!();

    fn convention(&self) -> &'static str {
        if self.delayed { "delayed" } else { "" }
    }

    fn slots(&self) -> &'static [Slot] {
        const {
            &[
                Slot::full("prev", Role::Gradient),
                Slot::full("step_size", Role::Factor).starting_as(Initial::Rule),
            ]
        }
    }

    fn initial(&self, slot: usize) -> f32 {
        if slot == 1 { self.lr as f32 } else { 0.0 }
    }

    #[cfg_attr(not(feature = "std"), inline(always))]
    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(Resilient {
            shrink: self.eta_minus as f32,
            grow: self.eta_plus as f32,
            min: self.step_size_min as f32,
            max: self.step_size_max as f32,
            delayed: self.delayed,
        })
    }
}

#[derive(Clone, Copy)]
struct Resilient {
    shrink: f32,
    grow: f32,
    min: f32,
    max: f32,
    delayed: bool,
}

impl Kernel<2> for Resilient {
    #[inline(always)]
    fn update<L: Lane>(self, _: L, g: L, [prev, size]: [L; 2]) -> (Change<L>, [L; 2]) {
        let zero = g.splat(0.0);
        let s = g.sign() * prev.sign();
        let (kept, turned) = (zero.lt(s), s.lt(zero));
        let bounded = |size: L| size.max(size.splat(self.min)).min(size.splat(self.max));
        let same = if self.delayed { size } else { bounded(size) };
        let shrunk = L::select(turned, bounded(size * self.shrink), same);
        let size = L::select(kept, bounded(size * self.grow), shrunk);
        let change = L::select(turned, zero, g.sign() * size);
        if self.delayed {
            (Change::By(L::select(turned, zero, prev)), [change, size])
        } else {
            (Change::By(change), [L::select(turned, zero, g), size])
        }
    }
}
