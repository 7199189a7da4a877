//! What a pass decides for each tensor, before the step and after it.

use crate::{
    pass::{
        gradient::Preparation,
        pass::{Clip, NonFinite, Pass},
    },
    simd::factor::Factor,
    tensor::{grad_sums::GradSums, tensor::Tensor},
};

impl Pass {
    /// Returns whether anything has to be known of the gradients before the step.
    pub(super) fn looks_ahead(&self, tensors: &[Tensor<'_>]) -> bool {
        match self.clip {
            _ if self.check.is_some() => true,
            Clip::TensorNorm(_) | Clip::GlobalNorm(_) => true,
            // Only to tell the norm.
            Clip::Adaptive { .. } => tensors.iter().any(|tensor| tensor.extras.telemetry.is_some()),
            Clip::Nothing => false,
        }
    }

    /// The sums over all tensors that count.
    pub(super) fn combine(&self, tensors: impl Iterator<Item = GradSums>) -> GradSums {
        tensors.fold(GradSums::default(), |mut all, sums| {
            let left_out = self.check == Some(NonFinite::Skip) && sums.non_finite > 0;
            all.merge(&if left_out {
                GradSums { non_finite: sums.non_finite, ..GradSums::default() }
            } else {
                sums
            });
            all
        })
    }

    /// Returns what clipping by norm multiplies the gradients of a tensor with.
    pub(super) fn clip_factor(&self, tensor: GradSums, all: &GradSums) -> f64 {
        let (max, norm) = match self.clip {
            Clip::TensorNorm(max) => (max, tensor.norm()),
            Clip::GlobalNorm(max) => (max, all.norm()),
            Clip::Nothing | Clip::Adaptive { .. } => return 1.0,
        };
        let factor = max / (norm + self.clip_eps);
        // A norm that is NaN gives a factor that is.
        if factor > 1.0 { 1.0 } else { factor }
    }

    /// Makes a tensor ready.
    pub(crate) fn begin(&self, tensor: &mut Tensor<'_>) {
        let rows = tensor.extras.rows.filter(|_| self.goes_by_rows());
        tensor.plan.row_len = rows.and_then(|rows| tensor.len().checked_div(rows)).unwrap_or(0);
        tensor.plan.in_one = tensor.extras.rows.is_none() && matches!(self.clip, Clip::Adaptive { .. });
        tensor.plan.shift = None;
        if let Some(slot) = tensor.extras.telemetry {
            slot.clear();
        }
    }

    /// Decides whether a tensor is left out, what its gradient is multiplied with, and what the step does to its average.
    pub(super) fn decide(&self, tensor: &mut Tensor<'_>, skip: bool, clip: f64, preparation: &Preparation) {
        let in_place = tensor.grads.is_single()
            && preparation.only_scales(tensor.plan.row_len, tensor.extras.more_grads);
        let rest = if in_place { f64::from(preparation.unscale.rest) } else { 1.0 };
        let all = Factor::of(clip * rest);
        // What goes through the scratch is unscaled there.
        let factor = if all.is_single() { all } else { Factor::of(clip) };
        tensor.plan.skip = skip;
        tensor.plan.factor = factor.rest;
        tensor.plan.shift = (!all.is_single()).then_some(factor.shift);
        let averaged = tensor.extras.averaged.as_deref().copied().unwrap_or(0);
        let step = tensor.plan.tag.step;
        tensor.plan.average = self.average.and_then(|average| average.weight(step, averaged));
    }

    /// Counts a step that has been taken.
    pub(super) fn count(&self, tensor: &mut Tensor<'_>) {
        tensor.count();
        let step = tensor.plan.tag.step;
        if let Some(averaged) = &mut tensor.extras.averaged
            && self.average.is_some_and(|average| average.takes_in(step))
        {
            **averaged = averaged.saturating_add(1);
        }
    }
}
