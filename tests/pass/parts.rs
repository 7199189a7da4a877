//! The parts of a pass as plain data, to be drawn at random, given to the crate, and read by the naive twin.

use gradstep::{Average, Error, NonFinite, Pass};
use testkit::Random;

#[derive(Clone, Debug)]
pub struct Parts {
    pub loss_scale: f64,
    pub check: Option<NonFinite>,
    pub centralize: bool,
    pub clip_value: Option<f64>,
    pub clip: Clip,
    pub clip_eps: f64,
    pub flush_subnormals: bool,
    pub max_norm: Option<f64>,
    pub bounds: Option<(f32, f32)>,
    pub average: Option<Kept>,
    pub zero_grads: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    Nothing,
    TensorNorm(f64),
    GlobalNorm(f64),
    Adaptive(f64, f64),
}

/// How an average is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub kind: Kind,
    pub from_step: u64,
    pub every: u64,
    pub overwrite_every: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Mean,
    Exponential(f64),
    WarmingUp(f64),
    Power(f64),
}

impl Parts {
    pub const NONE: Self = Self {
        loss_scale: 1.0,
        check: None,
        centralize: false,
        clip_value: None,
        clip: Clip::Nothing,
        clip_eps: 1e-6,
        flush_subnormals: false,
        max_norm: None,
        bounds: None,
        average: None,
        zero_grads: false,
    };

    /// Each part about every third time.
    pub fn random(random: &mut Random) -> Self {
        Self {
            loss_scale: [1.0, 1.0, 1024.0, 3.0, 0.7][random.below(5)],
            check: [None, Some(NonFinite::Refuse), Some(NonFinite::Skip), Some(NonFinite::Step)]
                [random.below(4)],
            centralize: random.below(3) == 0,
            clip_value: some(random, |random| 2.0 * random.unit() + 1e-3),
            clip: Clip::random(random),
            clip_eps: [1e-6, 0.0, 0.5][random.below(3)],
            flush_subnormals: random.below(3) == 0,
            max_norm: some(random, |random| 5.0 * random.unit() + 1e-3),
            bounds: some(random, |random| (-1.5 * random.unit() as f32, random.unit() as f32)),
            average: some(random, Kept::random),
            zero_grads: random.below(3) == 0,
        }
    }

    pub fn pass(&self) -> Pass {
        self.build().unwrap()
    }

    fn build(&self) -> Result<Pass, Error> {
        let mut pass = Pass::new().loss_scale(self.loss_scale)?.clip_eps(self.clip_eps)?;
        pass = match self.clip {
            Clip::Nothing => pass,
            Clip::TensorNorm(max) => pass.clip_tensor_norm(max)?,
            Clip::GlobalNorm(max) => pass.clip_global_norm(max)?,
            Clip::Adaptive(ratio, eps) => pass.clip_adaptive(ratio, eps)?,
        };
        pass = self.check.map_or(pass, |policy| pass.check(policy));
        pass = self.clip_value.map_or(Ok(pass), |max| pass.clip_value(max))?;
        pass = self.max_norm.map_or(Ok(pass), |max| pass.max_norm(max))?;
        pass = self.bounds.map_or(Ok(pass), |(low, high)| pass.bounds(low, high))?;
        pass = self.average.map_or(Ok(pass), |kept| Ok(pass.average(kept.build()?)))?;
        pass = if self.centralize { pass.centralize() } else { pass };
        pass = if self.flush_subnormals { pass.flush_subnormals() } else { pass };
        Ok(if self.zero_grads { pass.zero_grads() } else { pass })
    }
}

fn some<T>(random: &mut Random, draw: impl FnOnce(&mut Random) -> T) -> Option<T> {
    (random.below(3) == 0).then(|| draw(random))
}

impl Clip {
    fn random(random: &mut Random) -> Self {
        let max = 10.0 * random.unit() + 1e-6;
        match random.below(5) {
            0 => Self::TensorNorm(max),
            1 | 2 => Self::GlobalNorm(max),
            3 => Self::Adaptive(0.1 * max, 1e-3),
            _ => Self::Nothing,
        }
    }
}

impl Kept {
    fn random(random: &mut Random) -> Self {
        Self {
            kind: [
                Kind::Mean,
                Kind::Exponential(0.0),
                Kind::Exponential(0.9),
                Kind::WarmingUp(0.4),
                Kind::Power(5.0),
            ][random.below(5)],
            from_step: random.below(4) as u64,
            every: random.below(4) as u64,
            overwrite_every: random.below(4) as u64,
        }
    }

    fn build(self) -> Result<Average, Error> {
        let average = match self.kind {
            Kind::Mean => Average::mean(),
            Kind::Exponential(decay) => Average::exponential(decay)?,
            Kind::WarmingUp(decay) => Average::warming_up(decay)?,
            Kind::Power(exponent) => Average::power(exponent)?,
        };
        Ok(average.from_step(self.from_step).every(self.every).overwrite_every(self.overwrite_every))
    }

    /// What the new parameters weigh at a step beside those of so many others.
    pub fn weight(self, step: u64, averaged: u64) -> Option<f32> {
        if step < self.from_step.max(1) || averaged == 0 {
            return Some(1.0);
        }
        let before = averaged as f64;
        let old = match self.kind {
            Kind::Mean => before / (before + 1.0),
            Kind::Exponential(decay) => decay,
            Kind::WarmingUp(decay) => decay.min((1.0 + before) / (10.0 + before)),
            Kind::Power(exponent) => (1.0 - 1.0 / (before + 1.0)).powf(exponent + 1.0),
        };
        let weight = if matches!(self.kind, Kind::Mean) { 1.0 / (before + 1.0) } else { 1.0 - old };
        self.takes_in(step).then_some(weight as f32)
    }

    pub fn takes_in(self, step: u64) -> bool {
        let first = self.from_step.max(1);
        step >= first && (step - first).is_multiple_of(self.every.max(1))
    }

    pub fn overwrites(self, step: u64) -> bool {
        self.overwrite_every > 0 && step.is_multiple_of(self.overwrite_every)
    }
}
