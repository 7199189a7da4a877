//! What a step tells of itself.

use crate::{
    numbers::{exact_sum::ExactSum, math::sqrt},
    tensor::shared::Shared,
};

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
    pub(crate) elements: u64,
    pub(crate) unclipped: ExactSum,
    pub(crate) sums: [ExactSum; SUMS],
    pub(crate) max_update: f32,
    pub(crate) counts: Counts,
    pub(crate) compared: u64,
}

/// Squares of gradients, of updates and of parameters, and the products of update and gradient.
pub(crate) const SUMS: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) zeros: u64,
    pub(crate) subnormals: u64,
    pub(crate) non_finite: u64,
    pub(crate) lost: u64,
    pub(crate) agreeing: u64,
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

    /// Returns how many elements were stepped.
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
    /// `None` for rules that keep none, and for those that measure whole tensors, which may move it before the step,
    /// when they look at the whole tensor.
    #[must_use]
    pub fn sign_agreement(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.counts.agreeing as f64 / self.compared as f64)
    }

    /// Returns how many elements of the gradient were 0.
    #[must_use]
    pub fn zeros(&self) -> u64 {
        self.counts.zeros
    }

    /// Returns how many elements of the gradient were subnormal.
    #[must_use]
    pub fn subnormals(&self) -> u64 {
        self.counts.subnormals
    }

    /// Returns how many elements of the gradient were NaN or infinite.
    #[must_use]
    pub fn non_finite(&self) -> u64 {
        self.counts.non_finite
    }

    /// Returns how many parameters stayed as they were, in their format, although the update was not 0; a NaN is not
    /// counted. A rule that puts a new value in a parameter's place, instead of a change, loses none by this count.
    #[must_use]
    pub fn lost_updates(&self) -> u64 {
        self.counts.lost
    }
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.zeros += other.zeros;
        self.subnormals += other.subnormals;
        self.non_finite += other.non_finite;
        self.lost += other.lost;
        self.agreeing += other.agreeing;
    }
}

/// A NaN is passed over.
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Where a pass puts the telemetry of a tensor, or of all those that share the slot.
///
/// ```
/// use gradstep::{Pass, Tensor, Sgd, TelemetrySlot, Workers};
///
/// let slot = TelemetrySlot::default();
/// let (mut params, grads) = ([3.0_f32, 4.0], [1.0_f32, 0.0]);
/// let tensor = Tensor::new(&mut params[..], &grads[..], [])?.telemetry(&slot);
/// let report = Workers::serial().step_pass(&Pass::new(), &Sgd::torch().lr(0.5)?, 1, &mut [tensor])?;
/// assert_eq!(report.stepped, 1);
///
/// let told = slot.get();
/// assert_eq!((told.grad_norm(), told.update_norm(), told.param_norm()), (1.0, 0.5, 5.0));
/// assert_eq!((told.update_ratio(), told.cosine(), told.zeros()), (0.1, 1.0, 1));
/// # Ok::<(), gradstep::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct TelemetrySlot(Shared<Telemetry>);

impl TelemetrySlot {
    /// Returns what the last step told; nothing, all 0, where it left the tensor out, or all that share the slot.
    #[must_use]
    pub fn get(&self) -> Telemetry {
        self.0.get()
    }

    pub(crate) fn clear(&self) {
        self.0.set(Telemetry::default());
    }

    pub(crate) fn merge(&self, other: &Telemetry) {
        self.0.update(|telemetry| telemetry.merge(other));
    }

    /// The sums before clipping, where they were measured.
    pub(crate) fn merge_unclipped(&self, squares: &ExactSum) {
        self.0.update(|telemetry| telemetry.unclipped.merge(squares));
    }
}
