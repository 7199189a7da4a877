//! What every rule can have done around its own arithmetic: to the gradient before it, to the parameter after it.

use crate::{
    rule::{
        options::{LARGEST, choices},
        rule::Change,
    },
    simd::lane::Lane,
};

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
    /// Whether nothing is done but to the gradient.
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

choices! {
    /// How weight decay enters a step.
    pub enum Decay {
        /// L2 regularisation, as the `weight_decay` of PyTorch's SGD and Adam: `g = g + weight_decay*p`.
        Coupled = "coupled",
        /// Beside the gradient and times the learning rate, as AdamW: `p = p - lr*weight_decay*p` with the old `p`.
        Decoupled = "decoupled",
        /// The same with the `p` that the step has made, as bitsandbytes on processors.
        DecoupledAfter = "decoupled-after",
        /// Decoupled without the learning rate, as the paper on AdamW and pytorch_optimizer's `fixed_decay`:
        /// `p = p - weight_decay*p` with the old `p`.
        Fixed = "fixed",
        /// The same with the `p` that the step has made.
        FixedAfter = "fixed-after",
        /// After the step, as Adan: `p = p / (1 + lr*weight_decay)`.
        Proximal = "proximal",
        /// Within the rule's own update, as its formula says: optax' LAMB, NovoGrad, Prodigy, D-Adaptation and schedule-free
        /// AdamW. No other rule has it.
        Update = "update",
    }
}

choices! {
    /// How `l1` enters a step.
    pub enum L1 {
        /// As a part of the gradient: `g = g + l1*sign(p)`. Parameters come near zero and seldom rest there.
        Subgradient = "subgradient",
        /// After the step: `p = sign(p)*max(abs(p) - lr*l1, 0)`. Parameters come to rest at zero.
        Proximal = "proximal",
        /// Within the rule's own update, as the formula of FTRL says. No other rule has it.
        Update = "update",
    }
}

/// What a rule's own update has a term for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Within {
    Decay,
    L1,
}

/// The options that every rule has. The setters are on the rules themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Common {
    pub(crate) weight_decay: f64,
    pub(crate) decay: Decay,
    pub(crate) maximize: bool,
    pub(crate) l1: f64,
    pub(crate) l1_form: L1,
    pub(crate) cautious: bool,
    pub(crate) cautious_decay: bool,
}

impl Common {
    pub(crate) const NONE: Self = Self {
        weight_decay: 0.0,
        decay: Decay::Coupled,
        maximize: false,
        l1: 0.0,
        l1_form: L1::Subgradient,
        cautious: false,
        cautious_decay: false,
    };

    pub(crate) const fn decay(decay: Decay, weight_decay: f64) -> Self {
        Self { weight_decay, decay, ..Self::NONE }
    }

    /// Keras has it for every rule, and off (at 0) by default.
    pub(crate) const fn decoupled(weight_decay: f64) -> Self {
        Self::decay(Decay::Decoupled, weight_decay)
    }

    /// `own` is what the rule's update has a term for.
    pub(crate) fn contradiction(&self, lr: f64, own: Option<Within>) -> Option<&'static str> {
        if self.decay == Decay::Update && own != Some(Within::Decay) {
            Some("the rule's update has no term for weight decay, which the decay \"update\" would be")
        } else if self.l1_form == L1::Update && own != Some(Within::L1) {
            Some("the rule's update has no term for L1, which the l1_form \"update\" would be")
        } else if self.cautious_decay && matches!(self.decay, Decay::Coupled | Decay::Update) {
            Some(
                "cautious_decay needs a decay of its own, and \"coupled\" and \"update\" are parts of something else",
            )
        } else if lr * self.weight_decay > LARGEST {
            Some("lr*weight_decay is above 1e9, which no parameter stands")
        } else {
            None
        }
    }

    /// The weight decay that the rule's own update is to have.
    pub(crate) fn update_decay(&self) -> f64 {
        if self.decay == Decay::Update { self.weight_decay } else { 0.0 }
    }

    /// The L1 regularisation that the rule's own update is to have.
    pub(crate) fn update_l1(&self) -> f64 {
        if self.l1_form == L1::Update { self.l1 } else { 0.0 }
    }

    pub(crate) fn prepare(&self, lr: f64) -> Prepare {
        Prepare { scale: if self.maximize { -1.0 } else { 1.0 }, shrink: self.shrink(lr) }
    }

    /// The form with the shortest loop.
    fn shrink(&self, lr: f64) -> Shrink {
        let mixed = self.mixed(lr);
        let (l2, decay) = (mixed.l2, mixed.decay);
        match mixed {
            _ if mixed == Mixed::default() => Shrink::Nothing,
            _ if mixed == (Mixed { l2, ..Mixed::default() }) => Shrink::L2(l2),
            _ if mixed == (Mixed { decay, ..Mixed::default() }) => Shrink::Decay(decay),
            _ => Shrink::Mixed(mixed),
        }
    }

    fn mixed(&self, lr: f64) -> Mixed {
        let after = matches!(self.decay, Decay::DecoupledAfter | Decay::FixedAfter | Decay::Proximal);
        let beside = !matches!(self.decay, Decay::Coupled | Decay::Update);
        let decays = beside && self.weight_decay != 0.0;
        Mixed {
            l2: if self.decay == Decay::Coupled { self.weight_decay as f32 } else { 0.0 },
            l1: if self.l1_form == L1::Subgradient { self.l1 as f32 } else { 0.0 },
            cautious: self.cautious,
            decay: self.decay_part(lr) as f32,
            decay_after: decays && after,
            cautious_decay: decays && self.cautious_decay,
            threshold: if self.l1_form == L1::Proximal { (lr * self.l1) as f32 } else { 0.0 },
        }
    }

    /// Which part of a parameter decays beside the gradient.
    pub(crate) fn decay_part(&self, lr: f64) -> f64 {
        let times_lr = lr * self.weight_decay;
        match self.decay {
            Decay::Coupled | Decay::Update => 0.0,
            Decay::Decoupled | Decay::DecoupledAfter => times_lr,
            Decay::Fixed | Decay::FixedAfter => self.weight_decay,
            // 1 - 1/(1 + x), without the cancellation.
            Decay::Proximal => times_lr / (1.0 + times_lr),
        }
    }
}
