//! What the schedule-free rules share: the weights of the average, the path of the parameters, and the views of them.

use crate::{error::Error, numbers::math::powf, rule::sums::scalar, simd::lane::Lane};

/// What the weights of the average follow from.
pub(crate) struct Weights {
    pub(crate) lr: f64,
    pub(crate) warmup_steps: f64,
    pub(crate) r: f64,
    pub(crate) lr_power: f64,
}

impl Weights {
    fn lr_at(&self, step: u64) -> f64 {
        self.lr * (step as f64 / self.warmup_steps.max(1.0)).min(1.0)
    }

    fn weight(&self, step: u64, lr_max: f64) -> f64 {
        powf(step as f64, self.r) * powf(lr_max, self.lr_power)
    }

    /// From the old `weight_sum` and `lr_max` to the new ones.
    pub(crate) fn settle(&self, step: u64, scalars: &mut [f64]) {
        let [sum, lr_max] = scalars else { return };
        *lr_max = lr_max.max(self.lr_at(step));
        *sum += self.weight(step, *lr_max);
    }

    pub(crate) fn path(&self, step: u64, scalars: &[f64], beta: f64) -> Path {
        let (sum, weight, lr) = (scalar(scalars, 0), self.weight(step, scalar(scalars, 1)), self.lr_at(step));
        // A learning rate of 0 moves nothing, so that there is nothing to average.
        let newest = if sum > 0.0 { weight / sum } else { 0.0 };
        Path { newest: newest as f32, direct: (lr * (1.0 - beta * (1.0 - newest))) as f32, lr: lr as f32 }
    }
}

/// No update is larger: 2^100. Whole updates add up in `z`, which must not overflow.
const LARGEST: f32 = f32::from_bits((127 + 100) << 23);

/// How parameters move: towards `z`, and along the update.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    newest: f32,
    direct: f32,
    lr: f32,
}

impl Path {
    /// The change of the parameter, and the new `z`.
    #[inline(always)]
    pub(crate) fn follow<L: Lane>(self, p: L, update: L, z: L) -> (L, L) {
        let update = update.within(LARGEST);
        ((p - z) * self.newest + update * self.direct, z - update * self.lr)
    }
}

fn check(params: &[f32], z: &[f32]) -> Result<(), Error> {
    if params.len() == z.len() {
        Ok(())
    } else {
        Err(Error::Length { slice: "z", expected: params.len(), found: z.len() })
    }
}

pub(crate) fn to_eval(rule: &'static str, beta: f64, params: &mut [f32], z: &[f32]) -> Result<(), Error> {
    check(params, z)?;
    if beta == 0.0 {
        return Err(Error::Conflict {
            rule,
            reason: "without momentum the parameters are z, and the average is not kept",
        });
    }
    for (p, &z) in params.iter_mut().zip(z) {
        *p = ((f64::from(*p) - (1.0 - beta) * f64::from(z)) / beta) as f32;
    }
    Ok(())
}

pub(crate) fn to_train(beta: f64, params: &mut [f32], z: &[f32]) -> Result<(), Error> {
    check(params, z)?;
    for (p, &z) in params.iter_mut().zip(z) {
        *p = (beta * f64::from(*p) + (1.0 - beta) * f64::from(z)) as f32;
    }
    Ok(())
}
