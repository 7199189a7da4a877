//! What a step tells of itself.

use core::array;

use crate::{
    numbers::{
        blocks::{Blocks, LANES, Row, Terms},
        exact_sum::ExactSum,
        math::sqrt,
    },
    simd::prefetch::prefetch_for_later,
    threads::shared::Shared,
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
    /// `None` for rules that keep none, and for those that measure whole tensors, which may move it before the step,
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
    /// Before and after.
    pub(super) momentum: [&'t [f32]; 2],
    /// What will be read next.
    pub(super) next: [&'t [f32]; STREAMS],
}

/// Slices that are asked for ahead: parameters, gradients, and as much state as nearly all rules have.
pub(super) const STREAMS: usize = 6;

/// Collects the telemetry of a range.
pub(super) struct Watch {
    sums: Blocks<SUMS>,
    elements: usize,
    max_update: f32,
    counts: Counts,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { sums: Blocks::new(), elements: 0, max_update: 0.0, counts: Counts::default() }
    }

    #[inline(always)]
    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let &Seen { grads, scale, old, new, changes, momentum: [before, after], next } = seen;
        let mut look =
            Look { scale, next, rows: 0, largest: [self.max_update; LANES], counts: [[0; LANES]; 5] };
        self.sums.push([grads, changes, old, new, before, after], &mut look);
        self.elements += changes.len();
        self.max_update = look.largest.into_iter().fold(0.0, larger);
        self.counts.add(&look.counts(changes.len()));
    }

    /// Where the gradient was `measured` before, its sums come from there; else nothing clipped it.
    pub(super) fn finish(self, measured: bool, momentum: bool) -> Telemetry {
        let sums = self.sums.finish();
        Telemetry {
            elements: self.elements as u64,
            unclipped: if measured { ExactSum::default() } else { sums[0] },
            sums,
            max_update: self.max_update,
            counts: self.counts,
            compared: if momentum { self.elements as u64 } else { 0 },
        }
    }
}

/// What [`Watch`] does to each row, in one loop, so that a value is loaded and converted once.
struct Look<'t> {
    scale: f32,
    next: [&'t [f32]; STREAMS],
    rows: usize,
    // For each lane by itself, which keeps them in registers.
    largest: Row<f32>,
    /// Zeros, zeros and subnormals together, not finite, lost, agreeing.
    counts: [Row<u32>; 5],
}

impl Terms<6, SUMS> for &mut Look<'_> {
    #[inline(always)]
    fn add(
        &mut self,
        [&g, &update, &old, &new, &before, &after]: [&Row<f32>; 6],
        lanes: &mut [Row<f64>; SUMS],
    ) {
        self.ask_for_next();
        let g: Row<f32> = array::from_fn(|i| g[i] * self.scale);
        let [zeros, tiny, non_finite, lost, agreeing] = &mut self.counts;
        for i in 0..LANES {
            self.largest[i] = larger(self.largest[i], update[i].abs());
            let magnitude = g[i].abs().to_bits();
            zeros[i] += u32::from(magnitude == 0);
            tiny[i] += u32::from(magnitude < f32::MIN_POSITIVE.to_bits());
            non_finite[i] += u32::from(magnitude >= f32::INFINITY.to_bits());
            lost[i] += u32::from(old[i] == new[i]) & u32::from(update[i] != 0.0);
            let both_up = u32::from(before[i] > 0.0) & u32::from(after[i] > 0.0);
            let both_down = u32::from(before[i] < 0.0) & u32::from(after[i] < 0.0);
            agreeing[i] += both_up | both_down;
        }
        let [of_grads, of_updates, of_params, of_products] = lanes;
        for i in 0..LANES {
            let (g, update, old) = (f64::from(g[i]), f64::from(update[i]), f64::from(old[i]));
            of_grads[i] += g * g;
            of_updates[i] += update * update;
            of_params[i] += old * old;
            of_products[i] += update * g;
        }
    }
}

impl Look<'_> {
    /// This is work enough to hide a part of the wait for memory: a row of each slice is asked for while one is worked on.
    #[inline(always)]
    fn ask_for_next(&mut self) {
        self.next.iter().filter_map(|slice| slice.get(self.rows * LANES)).for_each(prefetch_for_later);
        self.rows += 1;
    }

    /// Of so many elements. The first row and the last may have been filled up with zeros, which were multiplied as well.
    #[inline(always)]
    fn counts(&self, elements: usize) -> Counts {
        let sum = |lanes: Row<u32>| lanes.into_iter().map(u64::from).sum::<u64>();
        let [zeros, tiny, non_finite, lost, agreeing] = self.counts.map(sum);
        let filled = (self.rows * LANES - elements) as u64;
        let subnormals = tiny - zeros;
        if self.scale.is_finite() {
            Counts { zeros: zeros - filled, subnormals, non_finite, lost, agreeing }
        } else {
            Counts { zeros, subnormals, non_finite: non_finite - filled, lost, agreeing }
        }
    }
}
