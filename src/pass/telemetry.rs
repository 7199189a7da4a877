//! What a step tells of itself.

use core::array;

use crate::{blocks::Blocks, cell::Shared, exact::ExactSum, math::sqrt};

/// What one step did to a tensor, or to several: norms, angles, counts.
///
/// Sums are kept exactly, so that telemetry of tensors and of shards can be [merged](Self::merge) in any order with the same
/// bits.
///
/// `docs/telemetry.md`, in the repository, tells how to read the figures, and how to find a learning rate by them; the example
/// `digits` writes them with `--telemetry FILE.csv`.
///
/// The *gradient* is what the rule sees of it; the *update* is what the rule and its decay take off the parameters, before
/// rounding and before bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Telemetry {
    elements: u64,
    unclipped: ExactSum,
    sums: [ExactSum; SUMS],
    max_update: f32,
    counts: Counts,
    compared: u64,
}

/// Squares of gradients, of updates and of parameters, and the products of update and gradient.
const SUMS: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    zeros: u64,
    subnormals: u64,
    non_finite: u64,
    lost: u64,
    agreeing: u64,
}

impl Telemetry {
    /// Adds what another tensor or another shard has.
    pub fn merge(&mut self, other: &Self) {
        self.elements += other.elements;
        self.unclipped.merge(&other.unclipped);
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            sum.merge(other);
        }
        self.max_update = larger(self.max_update, other.max_update);
        self.counts.add(&other.counts);
        self.compared += other.compared;
    }

    /// How many elements were stepped.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// The norm of the gradient before it was clipped by norm.
    #[must_use]
    pub fn grad_norm(&self) -> f64 {
        sqrt(self.unclipped.total())
    }

    /// The norm of the gradient as the rule saw it.
    #[must_use]
    pub fn clipped_grad_norm(&self) -> f64 {
        sqrt(self.sums[0].total())
    }

    /// The norm of the update.
    #[must_use]
    pub fn update_norm(&self) -> f64 {
        sqrt(self.sums[1].total())
    }

    /// The norm of the parameters before the step.
    #[must_use]
    pub fn param_norm(&self) -> f64 {
        sqrt(self.sums[2].total())
    }

    /// The largest magnitude in the update.
    #[must_use]
    pub fn max_update(&self) -> f32 {
        self.max_update
    }

    /// The norm of the update by that of the parameters; 0.001 or so is usual in a healthy run. Not finite where all
    /// parameters are 0.
    #[must_use]
    pub fn update_ratio(&self) -> f64 {
        self.update_norm() / self.param_norm()
    }

    /// The cosine of the angle between update and gradient: 1 for gradient descent, and 0 where either is 0.
    #[must_use]
    pub fn cosine(&self) -> f64 {
        let norms = self.update_norm() * self.clipped_grad_norm();
        if norms == 0.0 { 0.0 } else { self.sums[3].total() / norms }
    }

    /// The share of elements whose momentum (`exp_avg` or `momentum_buffer`) has the sign that it had before the step;
    /// `None` for rules that keep none, and for those with [scalars](crate::Rule::scalars), which may move it before the step,
    /// when they look at the whole tensor.
    #[must_use]
    pub fn sign_agreement(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.counts.agreeing as f64 / self.compared as f64)
    }

    /// How many elements of the gradient were 0.
    #[must_use]
    pub fn zeros(&self) -> u64 {
        self.counts.zeros
    }

    /// How many elements of the gradient were subnormal.
    #[must_use]
    pub fn subnormals(&self) -> u64 {
        self.counts.subnormals
    }

    /// How many elements of the gradient were NaN or infinite.
    #[must_use]
    pub fn non_finite(&self) -> u64 {
        self.counts.non_finite
    }

    /// How many parameters stayed as they were, in their format, although the update was not 0; a NaN is not counted. A rule that puts a new value
    /// in a parameter's place, instead of a change, loses none by this count.
    #[must_use]
    pub fn lost_updates(&self) -> u64 {
        self.counts.lost
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.zeros += other.zeros;
        self.subnormals += other.subnormals;
        self.non_finite += other.non_finite;
        self.lost += other.lost;
        self.agreeing += other.agreeing;
    }
}

#[inline(always)]
fn square(x: f32) -> f64 {
    f64::from(x) * f64::from(x)
}

/// A NaN is passed over.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Where a pass puts the telemetry of a tensor, or of all those that share the slot.
///
/// ```
/// use gradstep::{Pass, PassTensor, Sgd, TelemetrySlot, Workers};
///
/// let slot = TelemetrySlot::default();
/// let (mut params, grads) = ([3.0_f32, 4.0], [1.0_f32, 0.0]);
/// let tensor = PassTensor::new(&mut params[..], &grads[..], [])?.telemetry(&slot);
/// Workers::serial().step_pass(&Pass::new(), &Sgd::torch().lr(0.5)?, 1, &mut [tensor])?;
///
/// let told = slot.get();
/// assert_eq!((told.grad_norm(), told.update_norm(), told.param_norm()), (1.0, 0.5, 5.0));
/// assert_eq!((told.update_ratio(), told.cosine(), told.zeros()), (0.1, 1.0, 1));
/// # Ok::<(), gradstep::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct TelemetrySlot(Shared<Telemetry>);

impl TelemetrySlot {
    /// What the last step told; nothing, all 0, where it left the tensor out, or all that share the slot.
    #[must_use]
    pub fn get(&self) -> Telemetry {
        self.0.get()
    }

    pub(super) fn clear(&self) {
        self.0.set(Telemetry::default());
    }

    pub(super) fn merge(&self, other: &Telemetry) {
        self.0.update(|telemetry| telemetry.merge(other));
    }

    /// The sums before clipping, where they were measured.
    pub(super) fn merge_unclipped(&self, squares: &ExactSum) {
        self.0.update(|telemetry| telemetry.unclipped.merge(squares));
    }
}

/// One tile, for [`Watch`] to look at.
pub(super) struct Seen<'t> {
    pub(super) grads: &'t [f32],
    /// What the rule multiplies the gradients with.
    pub(super) scale: f32,
    pub(super) old: &'t [f32],
    pub(super) new: &'t [f32],
    pub(super) changes: &'t [f32],
    /// Before and after; empty where the rule keeps none.
    pub(super) momentum: [&'t [f32]; 2],
}

/// Collects the telemetry of a range.
pub(super) struct Watch {
    sums: [Blocks; SUMS],
    elements: usize,
    max_update: f32,
    counts: Counts,
    compared: usize,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            sums: array::from_fn(|_| Blocks::new()),
            elements: 0,
            max_update: 0.0,
            counts: Counts::default(),
            compared: 0,
        }
    }

    #[inline(always)]
    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let &Seen { grads, scale, old, changes, .. } = seen;
        let [of_grads, of_changes, of_params, of_products] = &mut self.sums;
        of_grads.push([grads], |[g]| square(g * scale));
        of_changes.push([changes], |[u]| square(u));
        of_params.push([old], |[p]| square(p));
        of_products.push([changes, grads], |[u, g]| f64::from(u) * f64::from(g * scale));
        self.elements += changes.len();
        self.largest(changes);
        self.gradients(grads, scale);
        self.lost(seen);
        self.signs(seen.momentum);
    }

    #[inline(always)]
    fn largest(&mut self, changes: &[f32]) {
        // Chunks of known length: the running maxima stay in registers.
        let (chunks, rest) = changes.as_chunks::<16>();
        let mut largest = [self.max_update; 16];
        for chunk in chunks {
            for (largest, change) in largest.iter_mut().zip(chunk) {
                *largest = larger(*largest, change.abs());
            }
        }
        let rest = rest.iter().map(|change| change.abs());
        self.max_update = largest.into_iter().chain(rest).fold(0.0, larger);
    }

    #[inline(always)]
    fn gradients(&mut self, grads: &[f32], scale: f32) {
        let (mut zeros, mut subnormals, mut non_finite) = (0_u32, 0_u32, 0_u32);
        for g in grads {
            let magnitude = (g * scale).to_bits() & 0x7fff_ffff;
            zeros += u32::from(magnitude == 0);
            subnormals += u32::from(magnitude.wrapping_sub(1) < 0x7f_ffff);
            non_finite += u32::from(magnitude >= 0x7f80_0000);
        }
        self.counts.zeros += u64::from(zeros);
        self.counts.subnormals += u64::from(subnormals);
        self.counts.non_finite += u64::from(non_finite);
    }

    #[inline(always)]
    fn lost(&mut self, seen: &Seen<'_>) {
        let mut lost = 0_u32;
        for ((old, new), change) in seen.old.iter().zip(seen.new).zip(seen.changes) {
            lost += u32::from(old == new) & u32::from(*change != 0.0);
        }
        self.counts.lost += u64::from(lost);
    }

    #[inline(always)]
    fn signs(&mut self, [before, after]: [&[f32]; 2]) {
        let mut agreeing = 0_u32;
        for (before, after) in before.iter().zip(after) {
            let both_up = u32::from(*before > 0.0) & u32::from(*after > 0.0);
            let both_down = u32::from(*before < 0.0) & u32::from(*after < 0.0);
            agreeing += both_up | both_down;
        }
        self.counts.agreeing += u64::from(agreeing);
        self.compared += before.len();
    }

    /// Where the gradient was `measured` before, its sums come from there; else nothing clipped it.
    pub(super) fn finish(self, measured: bool) -> Telemetry {
        let sums = self.sums.map(Blocks::finish);
        Telemetry {
            elements: self.elements as u64,
            unclipped: if measured { ExactSum::default() } else { sums[0] },
            sums,
            max_update: self.max_update,
            counts: self.counts,
            compared: self.compared as u64,
        }
    }
}
