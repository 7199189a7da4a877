//! The options that every rule has.

use crate::rule::{
    choices::choices,
    regularize::{Mixed, Prepare, Shrink},
    values::LARGEST,
};

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
    #[cfg_attr(not(feature = "std"), inline(always))]
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

    #[cfg_attr(not(feature = "std"), inline(always))]
    pub(crate) fn prepare(&self, lr: f64) -> Prepare {
        Prepare { scale: if self.maximize { -1.0 } else { 1.0 }, shrink: self.shrink(lr) }
    }

    /// The form with the shortest loop.
    #[cfg_attr(not(feature = "std"), inline(always))]
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

    #[cfg_attr(not(feature = "std"), inline(always))]
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

    /// Returns which part of a parameter decays beside the gradient.
    #[cfg_attr(not(feature = "std"), inline(always))]
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
