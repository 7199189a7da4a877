//! The naive twin of a pass: each part over whole slices, one after the other, in the documented order.
//!
//! It shares with the crate the rule's own step, on the scalar backend, and nothing else. Norms over whole tensors are
//! given to it, so that all the rest can be compared bit for bit.

use gradstep::{AnyRule, Backend, Format, NonFinite, Rule as _, Tensor, Workers, full_slots};

use crate::{
    cases::{share_numbers, shared_numbers},
    model::{Numbers, Owned, Padded, inward, toward_zero},
    parts::{Clip, Parts},
};

/// What is known of the gradients before the step.
pub struct Known {
    /// Each tensor's norm, before clipping by norm.
    pub norms: Vec<f64>,
    pub global: f64,
}

/// What became of the tensors.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    pub refused: bool,
    pub skipped: Vec<bool>,
    pub non_finite: Vec<u64>,
}

pub fn step(parts: &Parts, rule: &AnyRule, step: u64, model: &mut [Owned], known: &Known) -> Verdict {
    let verdict = verdict(parts, model);
    let grads: Vec<Vec<f32>> = model
        .iter()
        .zip(&known.norms)
        .map(|(tensor, &norm)| gradient(parts, tensor, clip_factor(parts, norm, known.global)))
        .collect();
    let stepped = |i: &usize| !verdict.skipped[*i];
    let mut params: Vec<Vec<f32>> = model.iter().map(|tensor| tensor.params.values()).collect();
    apply_rule(rule, step, model, &mut params, &grads, &verdict.skipped);
    for i in (0..model.len()).filter(stepped) {
        after(parts, rule, step, &mut model[i], &mut params[i]);
    }
    verdict
}

/// The gradient before it is clipped by norm.
pub fn prepared(parts: &Parts, tensor: &Owned) -> Vec<f32> {
    let mut grads = unscaled(parts, tensor);
    if let (true, Some(row_len)) = (parts.centralize, tensor.row_len()) {
        grads.chunks_mut(row_len).for_each(take_off_mean);
    }
    if let Some(max) = parts.clip_value {
        grads.iter_mut().for_each(|g| *g = clamp(*g, -(max as f32), max as f32));
    }
    grads
}

pub fn verdict(parts: &Parts, model: &[Owned]) -> Verdict {
    let count = |tensor| unscaled(parts, tensor).iter().filter(|g| !g.is_finite()).count() as u64;
    let non_finite: Vec<u64> =
        model.iter().map(|tensor| if looks(parts, model) { count(tensor) } else { 0 }).collect();
    let refused = parts.check == Some(NonFinite::Refuse) && non_finite.iter().any(|&n| n > 0);
    let skip = |&n: &u64| refused || parts.check == Some(NonFinite::Skip) && n > 0;
    Verdict { refused, skipped: non_finite.iter().map(skip).collect(), non_finite }
}

/// Whether gradients have to be known before the step.
pub fn looks(parts: &Parts, model: &[Owned]) -> bool {
    let told = model.iter().any(|tensor| tensor.told.is_some());
    let clips = match parts.clip {
        Clip::TensorNorm(_) | Clip::GlobalNorm(_) => true,
        Clip::Adaptive(..) => told,
        Clip::Nothing => false,
    };
    parts.check.is_some() || clips
}

fn unscaled(parts: &Parts, tensor: &Owned) -> Vec<f32> {
    let unscale = (1.0 / parts.loss_scale) as f32;
    summed(tensor).into_iter().map(|g| g * unscale).collect()
}

fn summed(tensor: &Owned) -> Vec<f32> {
    let mut grads = tensor.grads.values();
    for more in &tensor.more {
        grads.iter_mut().zip(more.values()).for_each(|(sum, g)| *sum += g);
    }
    grads
}

fn take_off_mean(row: &mut [f32]) {
    let mean = (sum(row, |g| g) / row.len() as f64) as f32;
    row.iter_mut().for_each(|g| *g -= mean);
}

fn clamp(x: f32, low: f32, high: f32) -> f32 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

fn clip_factor(parts: &Parts, norm: f64, global: f64) -> f64 {
    let factor = match parts.clip {
        Clip::TensorNorm(max) => max / (norm + parts.clip_eps),
        Clip::GlobalNorm(max) => max / (global + parts.clip_eps),
        _ => 1.0,
    };
    if factor > 1.0 { 1.0 } else { factor }
}

/// The gradient as the rule sees it. Where nothing but multiplications is to be done, there is only one of them.
fn gradient(parts: &Parts, tensor: &Owned, clip: f64) -> Vec<f32> {
    let adaptive = matches!(parts.clip, Clip::Adaptive(..));
    let by_rows = adaptive || parts.centralize && tensor.row_len().is_some();
    let scaled_once =
        tensor.grads.is_single() && tensor.more.is_empty() && parts.clip_value.is_none() && !by_rows;
    if scaled_once {
        let unscale = f64::from((1.0 / parts.loss_scale) as f32);
        let factor = (clip * unscale) as f32;
        return summed(tensor).into_iter().map(|g| g * factor).collect();
    }
    let mut grads = prepared(parts, tensor);
    if let Clip::Adaptive(ratio, eps) = parts.clip {
        clip_adaptive(&mut grads, tensor, ratio, eps);
    }
    grads.iter_mut().for_each(|g| *g *= clip as f32);
    grads
}

fn clip_adaptive(grads: &mut [f32], tensor: &Owned, ratio: f64, eps: f64) {
    let row_len = tensor.row_len().unwrap_or(tensor.len()).max(1);
    let params = tensor.params.values();
    for (grads, params) in grads.chunks_mut(row_len).zip(params.chunks(row_len)) {
        let (norm, max) = (norm(grads), ratio * norm(params).max(eps));
        let factor = if norm <= max { 1.0 } else { (max / norm) as f32 };
        grads.iter_mut().for_each(|g| *g *= factor);
    }
}

fn apply_rule(
    rule: &AnyRule,
    step: u64,
    model: &mut [Owned],
    params: &mut [Vec<f32>],
    grads: &[Vec<f32>],
    skipped: &[bool],
) {
    let mut tensors: Vec<Tensor<'_>> = (model.iter_mut().zip(params).zip(grads).zip(skipped))
        .filter(|(_, skipped)| !**skipped)
        .map(|(((tensor, params), grads), _)| {
            Tensor::new(params, grads, tensor.state.iter_mut().map(|slice| &mut **slice)).unwrap()
        })
        .collect();
    Workers::serial().backend(Backend::SCALAR).step_model(rule, step, &mut tensors).unwrap();
    // What the rule shares among all tensors is shared with those that were left out.
    if let Some(stepped) = skipped.iter().position(|skipped| !skipped) {
        let shared = shared_numbers(rule, &model[stepped]);
        model.iter_mut().for_each(|tensor| share_numbers(rule, &shared, tensor));
    }
}

fn after(parts: &Parts, rule: &AnyRule, step: u64, tensor: &mut Owned, params: &mut [f32]) {
    if parts.flush_subnormals {
        let long = full_slots(rule.slots());
        tensor.state[..long].iter_mut().for_each(flush);
    }
    // Rounded to the storage's format, in which they stay.
    tensor.params.set_all(params);
    params.copy_from_slice(&tensor.params.values());
    let (format, row_len) = (tensor.params.format(), tensor.row_len());
    let held = |params: &mut [f32]| {
        if let (Some(max), Some(row_len)) = (parts.max_norm, row_len) {
            params.chunks_mut(row_len).for_each(|row| limit_norm(row, max, format));
        }
        keep_within(parts, params, format);
    };
    let mut copied = copied_toward_zero(parts, tensor, params);
    held(params);
    let overwritten = keep_average(parts, step, tensor, params);
    if overwritten {
        keep_within(parts, params, format);
        tensor.params.set_all(params);
        params.copy_from_slice(&tensor.params.values());
        copied = copied_toward_zero(parts, tensor, params);
        held(params);
    }
    tensor.params.set_all(params);
    copy_out(parts, tensor, params, &copied);
    if parts.zero_grads {
        zero(&mut tensor.grads);
    }
}

/// A zero loses its sign as well.
fn flush(slice: &mut Padded<f32>) {
    slice.iter_mut().filter(|x| x.abs() < f32::MIN_POSITIVE).for_each(|x| *x = 0.0);
}

fn limit_norm(row: &mut [f32], max: f64, format: Option<Format>) {
    let norm = norm(row);
    if norm > max && norm.is_finite() {
        let factor = max / norm * (1.0 - 2.0_f64.powi(-44));
        row.iter_mut().for_each(|p| *p = toward_zero(f64::from(*p) * factor, format));
    }
}

fn keep_within(parts: &Parts, params: &mut [f32], format: Option<Format>) {
    if let Some(bounds) = parts.bounds {
        let (low, high) = inward(bounds, format);
        params.iter_mut().for_each(|p| *p = clamp(*p, low, high));
    }
}

/// Of each row, whether rounding its copy to nearest might take it above the greatest norm.
fn copied_toward_zero(parts: &Parts, tensor: &Owned, params: &[f32]) -> Vec<bool> {
    let (Some(max), Some(row_len)) = (parts.max_norm, tensor.row_len()) else { return Vec::new() };
    let above = |row| {
        let grown = norm(row).min(max) * (1.0 + 2.0_f64.powi(-8));
        grown + (row_len as f64).sqrt() * 2.0_f64.powi(-24) > max.min(65_504.0)
    };
    params.chunks(row_len).map(above).collect()
}

fn copy_out(parts: &Parts, tensor: &mut Owned, params: &[f32], toward_zero: &[bool]) {
    let row_len = tensor.row_len().unwrap_or(tensor.len()).max(1);
    let Some(copy) = &mut tensor.copy else { return };
    let format = copy.format();
    let mut copied = params.to_vec();
    if format.is_some() {
        keep_within(parts, &mut copied, format);
    }
    for (row, _) in copied.chunks_mut(row_len).zip(toward_zero).filter(|(_, toward_zero)| **toward_zero) {
        row.iter_mut().for_each(|p| *p = self::toward_zero((*p).into(), format));
    }
    copy.set_all(&copied);
}

/// Whether the average took the parameters' place.
fn keep_average(parts: &Parts, step: u64, tensor: &mut Owned, params: &mut [f32]) -> bool {
    let (Some(kept), Some(average)) = (parts.average, &mut tensor.average) else { return false };
    let weight = kept.weight(step, tensor.averaged);
    tensor.averaged += u64::from(kept.takes_in(step));
    match weight {
        None => {}
        Some(1.0) => average.copy_from_slice(params),
        Some(weight) => average.iter_mut().zip(&*params).for_each(|(a, p)| *a += (p - *a) * weight),
    }
    if kept.overwrites(step) {
        params.copy_from_slice(average);
    }
    kept.overwrites(step)
}

fn zero(grads: &mut Numbers) {
    let zeros = vec![0.0; grads.len()];
    grads.set_all(&zeros);
}

pub fn norm(values: &[f32]) -> f64 {
    sum(values, |x| x * x).sqrt()
}

/// Sixteen running sums in each block of 4096, added up in pairs and pairs of pairs. What the crate does beyond a block is
/// exact, and so is the sum of two blocks: longer rows are not compared bit for bit.
fn sum(values: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let of_block = |block: &[f32]| {
        let mut lanes = [0.0; 16];
        block.iter().enumerate().for_each(|(i, &x)| lanes[i % 16] += term(x.into()));
        for width in [8, 4, 2, 1] {
            (0..width).for_each(|i| lanes[i] += lanes[i + width]);
        }
        lanes[0]
    };
    values.chunks(4096).map(of_block).sum()
}
