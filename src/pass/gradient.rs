//! From the gradient as it is given to the gradient that the rule sees, tile by tile.

use core::ops;

use crate::{
    formats::{
        floats::{Floats, clamp},
        tiles::{TILE, tiles, within},
    },
    numbers::{
        blocks::{Blocks, Row, Terms},
        math::sqrt,
    },
    pass::{
        pass::{Clip, Pass},
        scratch::{LazyBuffer, Scratch},
    },
    simd::{
        backend::Backend,
        factor::Factor,
        isa::{Isa, Vectorized},
    },
    tensor::{grad_sums::GradSums, view::View},
};

/// How a gradient becomes what the rule sees, but for the factor of clipping by norm.
#[derive(Clone, Copy)]
pub(super) struct Preparation {
    pub(super) backend: Backend,
    pub(super) unscale: Factor,
    clip_value: f32,
    centralize: bool,
    /// The ratio and the least norm of adaptive clipping.
    adaptive: Option<(f64, f64)>,
}

/// Elements that some parts of a pass treat as one: a row, or a whole range where nothing goes by rows.
#[derive(Clone, Debug)]
pub(super) struct RowOrRange {
    pub(super) range: ops::Range<usize>,
    /// What is taken off each gradient.
    mean: f32,
    /// What adaptive clipping multiplies each gradient with, or what clipping by norm does beside the rule's loop.
    factor: Factor,
}

impl Preparation {
    pub(super) fn of(pass: &Pass, backend: Backend) -> Self {
        Self {
            backend,
            unscale: pass.unscale(),
            clip_value: pass.clip_value.unwrap_or(f32::INFINITY),
            centralize: pass.centralize,
            adaptive: match pass.clip {
                Clip::Adaptive { ratio, eps } => Some((ratio, eps)),
                _ => None,
            },
        }
    }

    /// The same without adaptive clipping, for the norms before it.
    pub(super) fn before_clipping(pass: &Pass, backend: Backend) -> Self {
        Self { adaptive: None, ..Self::of(pass, backend) }
    }

    /// The gradient where it lies, if all that is to be done to it is one multiplication, which the rule's loop does.
    pub(super) fn in_place<'v>(&self, view: &'v View<'_>) -> Option<&'v [f32]> {
        let only_scales = view.plan.shift.is_none() && self.only_scales(view.plan.row_len, view.more_grads);
        match view.grads.as_floats() {
            Floats::F32(grads) if only_scales => Some(grads),
            _ => None,
        }
    }

    /// Returns whether that is so of gradients in single precision, in rows of so many elements.
    pub(super) fn only_scales(&self, row_len: usize, more_grads: &[Floats<'_>]) -> bool {
        let by_rows = self.adaptive.is_some() || self.centralize && row_len > 0;
        self.clip_value == f32::INFINITY && !by_rows && more_grads.is_empty() && self.unscale.is_single()
    }

    /// The unit that begins at `at`.
    pub(super) fn unit(&self, view: &View<'_>, at: usize, scratch: &mut Scratch) -> RowOrRange {
        let row_len = if view.plan.row_len == 0 { view.params.len() } else { view.plan.row_len };
        let end = at.saturating_add(row_len).min(view.params.len());
        let factor = Factor { shift: view.plan.shift.unwrap_or(1.0), rest: 1.0 };
        let mut unit = RowOrRange { range: at..end, mean: 0.0, factor };
        if self.centralize && view.plan.row_len > 0 {
            unit.mean = self.mean(view, &unit.range, scratch);
        }
        if let Some((ratio, eps)) = self.adaptive {
            let grads = self.grad_norm(view, &unit, scratch);
            let max = ratio * param_norm(self.backend, view, &unit.range, scratch).max(eps);
            // A NaN stays one.
            unit.factor = if grads <= max { Factor::ONE } else { Factor::of(max / grads) };
        }
        unit
    }

    fn mean(&self, view: &View<'_>, range: &ops::Range<usize>, scratch: &mut Scratch) -> f32 {
        let mut blocks = Blocks::new();
        for tile in tiles(range) {
            let floats = self.gather(view, tile, &mut scratch.grads);
            self.backend.dispatch(Add { blocks: &mut blocks, floats });
        }
        (total(blocks) / range.len() as f64) as f32
    }

    fn grad_norm(&self, view: &View<'_>, unit: &RowOrRange, scratch: &mut Scratch) -> f64 {
        let mut blocks = Blocks::new();
        for tile in tiles(&unit.range) {
            let floats = self.prepare(view, tile, unit, &mut scratch.grads);
            self.backend.dispatch(Square { blocks: &mut blocks, floats, scale: 1.0 });
        }
        norm(blocks)
    }

    /// The gradients of a tile as the rule sees them, but for the factor of clipping by norm.
    pub(super) fn prepare<'t>(
        &self,
        view: &View<'_>,
        tile: ops::Range<usize>,
        unit: &RowOrRange,
        to: &'t mut LazyBuffer<TILE>,
    ) -> &'t mut [f32] {
        let grads = self.gather(view, tile, to);
        let (max, &RowOrRange { mean, factor, .. }) = (self.clip_value, unit);
        if mean != 0.0 || factor != Factor::ONE || max < f32::INFINITY {
            self.backend.dispatch(CenterClipScale { mean, max, factor, grads });
        }
        grads
    }

    /// The sum of the micro-batches, unscaled.
    fn gather<'t>(
        &self,
        view: &View<'_>,
        tile: ops::Range<usize>,
        to: &'t mut LazyBuffer<TILE>,
    ) -> &'t mut [f32] {
        let to = to.first(tile.len());
        self.backend.dispatch(Gather {
            first: view.grads.as_floats(),
            from: tile.start,
            more: view.more_grads,
            more_from: view.start + tile.start,
            unscale: self.unscale,
            to,
        });
        to
    }

    /// Returns what has to be known of a gradient before the step.
    pub(super) fn measure(&self, view: &View<'_>, scratch: &mut Scratch) -> GradSums {
        let mut blocks = Blocks::new();
        let mut at = 0;
        while at < view.params.len() {
            let unit = self.unit(view, at, scratch);
            at = unit.range.end;
            for tile in tiles(&unit.range) {
                let (floats, scale) = match self.in_place(view) {
                    Some(grads) => (within(grads, &tile), self.unscale.rest),
                    None => (&*self.prepare(view, tile, &unit, &mut scratch.grads), 1.0),
                };
                self.backend.dispatch(Square { blocks: &mut blocks, floats, scale });
            }
        }
        let [squares] = blocks.finish();
        let overflows = !squares.total().is_finite();
        let suspicious = self.clip_value < f32::INFINITY || overflows;
        let mut non_finite = if suspicious { self.count_non_finite(view, scratch) } else { 0 };
        if overflows && non_finite == 0 {
            non_finite = self.count_centered_overflows(view, scratch);
        }
        GradSums { squares, non_finite }
    }

    /// Before a mean spreads them, and clipping by value hides them.
    fn count_non_finite(&self, view: &View<'_>, scratch: &mut Scratch) -> u64 {
        let count = |tile| non_finite(self.gather(view, tile, &mut scratch.grads));
        tiles(&(0..view.params.len())).map(count).sum()
    }

    /// Of finite gradients that are too far from the mean of their row.
    fn count_centered_overflows(&self, view: &View<'_>, scratch: &mut Scratch) -> u64 {
        let (mut count, mut at) = (0, 0);
        while at < view.params.len() {
            let unit = self.unit(view, at, scratch);
            at = unit.range.end;
            let of_tile = |tile| non_finite(self.prepare(view, tile, &unit, &mut scratch.grads));
            count += tiles(&unit.range).map(of_tile).sum::<u64>();
        }
        count
    }
}

fn non_finite(grads: &[f32]) -> u64 {
    grads.iter().filter(|g| !g.is_finite()).count() as u64
}

/// The norm of the parameters in a range.
pub(super) fn param_norm(
    backend: Backend,
    view: &View<'_>,
    range: &ops::Range<usize>,
    scratch: &mut Scratch,
) -> f64 {
    let mut blocks = Blocks::new();
    for tile in tiles(range) {
        let floats = scratch.params.first(tile.len());
        backend.dispatch(Decode { from: view.params.as_floats(), at: tile.start, to: floats });
        backend.dispatch(Square { blocks: &mut blocks, floats, scale: 1.0 });
    }
    norm(blocks)
}

fn norm(blocks: Blocks) -> f64 {
    sqrt(total(blocks))
}

fn total(blocks: Blocks) -> f64 {
    let [sum] = blocks.finish();
    sum.total()
}

struct Gather<'t> {
    first: Floats<'t>,
    from: usize,
    more: &'t [Floats<'t>],
    more_from: usize,
    unscale: Factor,
    to: &'t mut [f32],
}

impl Vectorized for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        self.first.decode(self.from, self.to);
        for grads in self.more {
            grads.add(self.more_from, self.to);
        }
        self.to.iter_mut().for_each(|g| *g = self.unscale.apply(*g));
    }
}

/// What is done to each gradient of a unit.
struct CenterClipScale<'t> {
    mean: f32,
    max: f32,
    factor: Factor,
    grads: &'t mut [f32],
}

impl Vectorized for CenterClipScale<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        for g in self.grads {
            *g = self.factor.apply(clamp(*g - self.mean, -self.max, self.max));
        }
    }
}

/// Single precision of what may be 16 bits.
pub(super) struct Decode<'t> {
    pub(super) from: Floats<'t>,
    pub(super) at: usize,
    pub(super) to: &'t mut [f32],
}

impl Vectorized for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        self.from.decode(self.at, self.to);
    }
}

/// Adds up the squares of floats.
struct Square<'t> {
    blocks: &'t mut Blocks,
    floats: &'t [f32],
    scale: f32,
}

impl Vectorized for Square<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { blocks, floats, scale } = self;
        blocks.push([floats], Squares(scale));
    }
}

/// Adds up floats.
struct Add<'t> {
    blocks: &'t mut Blocks,
    floats: &'t [f32],
}

impl Vectorized for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { blocks, floats } = self;
        blocks.push([floats], Values);
    }
}

/// The squares of floats times a factor.
struct Squares(f32);

impl Terms<1, 1> for Squares {
    #[inline(always)]
    fn add(&mut self, [row]: [&Row<f32>; 1], [lanes]: &mut [Row<f64>; 1]) {
        for (lane, x) in lanes.iter_mut().zip(row) {
            let x = f64::from(x * self.0);
            *lane += x * x;
        }
    }
}

struct Values;

impl Terms<1, 1> for Values {
    #[inline(always)]
    fn add(&mut self, [row]: [&Row<f32>; 1], [lanes]: &mut [Row<f64>; 1]) {
        lanes.iter_mut().zip(row).for_each(|(lane, x)| *lane += f64::from(*x));
    }
}
