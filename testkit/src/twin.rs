//! What a step means, one element at a time.
//!
//! The twin takes nothing from the crate but the rule's kernel in `f32`. It reads the options that all rules have by their names,
//! and does what their documentation says. It takes these parts in turn:
//!
//! 1. `maximize` turns the sign of the gradient. The decay `coupled` adds `weight_decay*p` to it, and the L1 form `subgradient`
//!    adds `l1*sign(p)`.
//! 2. The kernel makes a change. Where decay comes first, the kernel sees the decayed parameter.
//! 3. `cautious` leaves the change out where it goes against the gradient.
//! 4. Decay draws the parameter towards zero. `cautious_decay` leaves it out where the change moves away from zero.
//! 5. The L1 form `proximal` draws the parameter nearer to zero once more, and stops there.
//!
//! An option of 0 is left out altogether, because a product with 0 shows infinities and the signs of zeros.

use gradstep::{Change, Kernel, KernelVisitor, Options, Rule, Value};

use crate::buffers::Buffers;

/// Takes a step of an element-wise rule.
pub fn step(rule: &(impl Rule + Options), step: u64, buffers: &mut Buffers) {
    rule.with_kernel(step, &[], Twin { around: Around::of(rule), buffers });
}

struct Twin<'a> {
    around: Around,
    buffers: &'a mut Buffers,
}

impl KernelVisitor for Twin<'_> {
    type Output = ();

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let Buffers { params, grads, state } = self.buffers;
        for (i, p) in params.iter_mut().enumerate() {
            let old = core::array::from_fn(|slot| state[slot][i]);
            let (new, new_state) = self.around.step(kernel, *p, grads[i], old);
            *p = new;
            state.iter_mut().zip(new_state).for_each(|(slice, new)| slice[i] = new);
        }
    }
}

/// What the options that all rules have do around a kernel. `None` is an option of 0.
struct Around {
    maximize: bool,
    /// The factor of `p` in the gradient.
    coupled: Option<f32>,
    /// The factor of `sign(p)` in the gradient.
    subgradient: Option<f32>,
    cautious: bool,
    decay: Option<Decay>,
    cautious_decay: bool,
    /// By how much the parameter comes nearer to zero at the end.
    proximal: Option<f32>,
}

/// Decay takes this part of a parameter.
#[derive(Clone, Copy)]
struct Decay {
    part: f32,
    of: Decayed,
}

/// Which parameter decays.
#[derive(Clone, Copy)]
enum Decayed {
    /// The one before the step.
    Old,
    /// The one that the step has made.
    New,
}

impl Around {
    fn of(rule: &impl Options) -> Self {
        let is = |option, word| rule.get(option) == Some(Value::Choice(word));
        let on = |option| rule.get(option) == Some(Value::Flag(true));
        let (lr, l1) = (number(rule, "lr"), number(rule, "l1"));
        let weight_decay = number(rule, "weight_decay");
        Self {
            maximize: on("maximize"),
            coupled: factor(weight_decay).filter(|_| is("decay", "coupled")),
            subgradient: factor(l1).filter(|_| is("l1_form", "subgradient")),
            cautious: on("cautious"),
            decay: decay(rule, lr, weight_decay),
            cautious_decay: on("cautious_decay"),
            proximal: factor(lr * l1).filter(|_| is("l1_form", "proximal")),
        }
    }

    /// From a parameter, its gradient and its state to the new parameter and the new state.
    fn step<K: Kernel<N>, const N: usize>(
        &self,
        kernel: K,
        p: f32,
        g: f32,
        state: [f32; N],
    ) -> (f32, [f32; N]) {
        let g = self.gradient(p, g);
        let seen = self.seen(p);
        let (change, state) = kernel.update(seen, g, state);
        let against = self.cautious && !same_side(change.amount(seen), g);
        let change = if against { nothing(change, seen) } else { change };
        (self.nearer_to_zero(self.changed(p, change)), state)
    }

    fn gradient(&self, p: f32, g: f32) -> f32 {
        let g = if self.maximize { -g } else { g };
        let g = self.coupled.map_or(g, |factor| g + factor * p);
        self.subgradient.map_or(g, |factor| g + factor * sign(p))
    }

    /// The parameter as the kernel sees it: decayed already, if it is the old one that decays. Cautious decay comes after the
    /// kernel, because it depends on the change.
    fn seen(&self, p: f32) -> f32 {
        match self.decay {
            Some(Decay { part, of: Decayed::Old }) if !self.cautious_decay => p - part * p,
            _ => p,
        }
    }

    /// The parameter after change and decay. A change that is taken off is added to the decay of the old parameter first, so that
    /// the parameter is rounded once.
    fn changed(&self, p: f32, change: Change<f32>) -> f32 {
        let Some(Decay { part, of }) = self.decay else { return change.apply(p) };
        match (of, change) {
            (Decayed::Old, Change::By(by)) => p - (by + self.careful(by, p, part * p)),
            (Decayed::Old, Change::To(new)) if self.cautious_decay => {
                new - self.careful(p - new, p, part * p)
            }
            // The kernel has seen the decayed parameter, and has put another in its place.
            (Decayed::Old, Change::To(new)) => new,
            (Decayed::New, _) => {
                let new = change.apply(p);
                new - self.careful(change.amount(p), p, part * new)
            }
        }
    }

    /// The decay, or none where it is to be left out beside the change `by`.
    fn careful(&self, by: f32, p: f32, decay: f32) -> f32 {
        if self.cautious_decay && !same_side(by, p) { 0.0 } else { decay }
    }

    fn nearer_to_zero(&self, p: f32) -> f32 {
        match self.proximal {
            Some(distance) if p.abs() <= distance => 0.0,
            Some(distance) => p - distance.copysign(p),
            None => p,
        }
    }
}

/// Decay beside the gradient, by the word of the option `decay`.
fn decay(rule: &impl Options, lr: f64, weight_decay: f64) -> Option<Decay> {
    let Some(Value::Choice(word)) = rule.get("decay") else { panic!("every rule has the option decay") };
    let times_lr = lr * weight_decay;
    let (part, of) = match word {
        "decoupled" => (times_lr, Decayed::Old),
        "decoupled-after" => (times_lr, Decayed::New),
        "fixed" => (weight_decay, Decayed::Old),
        "fixed-after" => (weight_decay, Decayed::New),
        // p/(1 + x) is p minus the part x/(1 + x) of it, which is rounded less.
        "proximal" => (times_lr / (1.0 + times_lr), Decayed::New),
        "coupled" | "update" => return None,
        other => panic!("the twin does not know the decay {other}"),
    };
    factor(part).map(|part| Decay { part, of })
}

fn number(rule: &impl Options, option: &str) -> f64 {
    match rule.get(option) {
        Some(Value::Number(number)) => number,
        other => panic!("{option} is {other:?}, and not a number"),
    }
}

fn factor(number: f64) -> Option<f32> {
    Some(number as f32).filter(|factor| *factor != 0.0)
}

fn sign(x: f32) -> f32 {
    if x == 0.0 || x.is_nan() { 0.0 } else { x.signum() }
}

/// Whether both are on one side of zero.
fn same_side(a: f32, b: f32) -> bool {
    sign(a) * sign(b) > 0.0
}

/// A change of the same kind that leaves the parameter as the kernel saw it.
fn nothing(change: Change<f32>, seen: f32) -> Change<f32> {
    match change {
        Change::By(_) => Change::By(0.0),
        Change::To(_) => Change::To(seen),
    }
}
