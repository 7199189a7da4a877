//! What every rule can have done around its own arithmetic: to the gradient before it, to the parameter after it.

use crate::{rule::kernel::Change, simd::lane::Lane};

/// What is done around a kernel: the gradient is scaled before the kernel sees it, and one of the forms of [`Shrink`] is
/// applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepare {
    /// What the gradient is multiplied with: 1, or -1 to maximise.
    pub scale: f32,
    /// Regularisation.
    pub shrink: Shrink,
}

impl Prepare {
    /// Leaves gradient and parameter as they are, bit for bit.
    pub const NOTHING: Self = Self { scale: 1.0, shrink: Shrink::Nothing };
}

impl Default for Prepare {
    fn default() -> Self {
        Self::NOTHING
    }
}

/// How regularisation draws parameters towards zero. The common forms are a part of each rule's loop; the others are done
/// around it, tile by tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shrink {
    /// Not at all.
    Nothing,
    /// `g = g + l2*p`
    L2(f32),
    /// `p = p - (change + decay*p)`; a rule that reads `p` sees `p - decay*p`. Frameworks take `keep*p - change` with
    /// `keep` = 1 - decay: rounded to `f32` that is off by up to 3e-8, at each step to the same side, and the common
    /// decay of 1e-5 by 0.3 %.
    Decay(f32),
    /// Several forms at once, and the rare ones.
    Mixed(Mixed),
}

impl Shrink {
    /// The same among all forms.
    pub(crate) fn mixed(self) -> Mixed {
        match self {
            Self::Nothing => Mixed::default(),
            Self::L2(l2) => Mixed { l2, ..Mixed::default() },
            Self::Decay(decay) => Mixed { decay, ..Mixed::default() },
            Self::Mixed(mixed) => mixed,
        }
    }
}

/// The forms of regularisation, each off at 0 or `false`, in the order in which they apply. What is off is not computed
/// with a zero, which infinities and signed zeros would show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mixed {
    /// `g = g + l2*p`
    pub l2: f32,
    /// `g = g + l1*sign(p)`
    pub l1: f32,
    /// The change is left out where its sign is not the gradient's.
    pub cautious: bool,
    /// `p = p - (change + decay*p)`
    pub decay: f32,
    /// Instead, `p = p - change`, then `p = p - decay*p`.
    pub decay_after: bool,
    /// Decay is left out where the change, as it is after `cautious`, does not draw the parameter towards zero.
    pub cautious_decay: bool,
    /// Last, what is nearer to zero than this becomes zero, and all else comes nearer by this.
    pub threshold: f32,
}

impl Mixed {
    /// Returns whether nothing is done but to the gradient.
    pub(crate) fn only_changes_gradient(self) -> bool {
        self == Self { l2: self.l2, l1: self.l1, ..Self::default() }
    }

    /// The parameter after the step.
    #[inline(always)]
    pub(crate) fn after<L: Lane>(self, p: L, g: L, change: Change<L>) -> L {
        self.threshold(self.changed(p, self.careful(self.seen(p), g, change)))
    }

    #[inline(always)]
    pub(crate) fn gradient<L: Lane>(self, p: L, mut g: L) -> L {
        if self.l2 != 0.0 {
            g = g + p * self.l2;
        }
        if self.l1 != 0.0 {
            g = g + p.sign() * self.l1;
        }
        g
    }

    /// The parameter as the kernel sees it. A rule that reads it (FTRL, LAMB) reads the decayed one, as in frameworks, where
    /// decay comes first; but for cautious decay, which depends on the rule's change.
    #[inline(always)]
    pub(crate) fn seen<L: Lane>(self, p: L) -> L {
        if self.decays_first() { p - p * self.decay } else { p }
    }

    #[inline(always)]
    fn decays_first(self) -> bool {
        self.decay != 0.0 && !self.decay_after && !self.cautious_decay
    }

    #[inline(always)]
    fn careful<L: Lane>(self, seen: L, g: L, change: Change<L>) -> Change<L> {
        match change {
            _ if !self.cautious => change,
            Change::By(by) => Change::By(L::select(same_sign(by, g), by, seen.splat(0.0))),
            Change::To(new) => Change::To(L::select(same_sign(seen - new, g), new, seen)),
        }
    }

    /// The parameter after the change and the decay.
    #[inline(always)]
    fn changed<L: Lane>(self, p: L, change: Change<L>) -> L {
        if self.decays_first() {
            return match change {
                Change::By(by) => p - (by + p * self.decay),
                Change::To(new) => new,
            };
        }
        let new = change.apply(p);
        if self.decay == 0.0 {
            return new;
        }
        let mut decay = if self.decay_after { new * self.decay } else { p * self.decay };
        if self.cautious_decay {
            let by = if let Change::By(by) = change { by } else { p - new };
            decay = L::select(same_sign(by, p), decay, p.splat(0.0));
        }
        match change {
            Change::By(by) if !self.decay_after => p - (by + decay),
            _ => new - decay,
        }
    }

    #[inline(always)]
    fn threshold<L: Lane>(self, p: L) -> L {
        if self.threshold == 0.0 {
            return p;
        }
        let rest = p.abs() - self.threshold;
        let zero = p.splat(0.0);
        // What is not above the threshold is zero; a NaN is neither, and stays.
        let signed = L::select(p.lt(zero), -rest, rest);
        L::select(rest.le(zero), zero, signed)
    }
}

/// Neither zero nor NaN, and both on one side of zero.
#[inline(always)]
fn same_sign<L: Lane>(a: L, b: L) -> L::Mask {
    a.splat(0.0).lt(a.sign() * b.sign())
}
