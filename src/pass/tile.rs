//! Everything that a pass does to one tile.

use core::ops;

use crate::{
    formats::{
        floats::{Floats, FloatsMut, clamp, copy_floats},
        half::Format,
        slices::{MAX_STATE, Slices},
        tiles::{TILE, pieces, tiles, within, within_if_any, within_mut},
    },
    numbers::math::sqrt,
    pass::{
        gradient::{Decode, Preparation, RowOrRange, param_norm},
        scratch::{LazyBuffer, Scratch, WATCHED},
        watch::{Seen, Watch},
    },
    simd::{
        backend::Backend,
        isa::{Isa, Vectorized},
    },
    sweep::erased::{Batch, Sweep},
    tensor::view::View,
};

/// What stands for the momentum of rules that keep none: its signs never agree.
static NO_MOMENTUM: [f32; WATCHED] = [0.0; WATCHED];

/// What is done to the tiles of a tensor.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub(super) preparation: Preparation,
    /// True if the gradients' sums are known.
    pub(super) measured: bool,
    /// What the rule multiplies prepared gradients with.
    pub(super) scale: f32,
    /// How many state slices are as full_slots as the parameters.
    pub(super) full_slots: usize,
    /// Which of them holds the momentum.
    pub(super) momentum: Option<usize>,
    pub(super) flush: bool,
    pub(super) max_norm: Option<f64>,
    /// Of the format of the parameters.
    pub(super) bounds: Option<(f32, f32)>,
    /// The same of the format of the copy.
    pub(super) copy_bounds: Option<(f32, f32)>,
    /// The weight of the new parameters in the average, at a step that they go into it.
    pub(super) average: Option<f32>,
    /// True if the average takes the parameters' place.
    pub(super) overwrite: bool,
    pub(super) zero_grads: bool,
}

impl Work {
    /// Takes the step of a range.
    pub(super) fn step(&self, view: &mut View<'_>, scratch: &mut Scratch, sweep: Sweep<'_>) {
        let mut watch = view.telemetry.map(|_| Watch::new());
        let mut at = 0;
        while at < view.params.len() {
            let unit = self.preparation.unit(view, at, scratch);
            at = unit.range.end;
            self.step_unit(view, &unit, scratch, watch.as_mut(), sweep);
        }
        if let (Some(slot), Some(watch)) = (view.telemetry, watch) {
            slot.merge(&watch.finish(self.measured, self.momentum.is_some()));
        }
    }

    fn step_unit(
        &self,
        view: &mut View<'_>,
        unit: &RowOrRange,
        scratch: &mut Scratch,
        mut watch: Option<&mut Watch>,
        sweep: Sweep<'_>,
    ) {
        let max_norm = self.max_norm.filter(|_| view.plan.row_len > 0);
        if watch.is_none() && self.leaves_alone(view) {
            // Then the sweep is best left to itself: at each end of a tile its prefetching would have to start anew.
            let Tile { params, grads, state, .. } =
                Tile::of(view, &self.preparation, &unit.range, scratch, false);
            return sweep(Batch::Tile(Slices { params, grads, state, changes: &mut [] }));
        }
        for tile in pieces(&unit.range, if watch.is_some() { WATCHED } else { TILE }) {
            view.prefetch_written(tile.start);
            self.apply_rule(view, unit, &tile, scratch, sweep);
            if let Some(watch) = &mut watch {
                let seen = self.seen(view, &tile, scratch);
                self.preparation.backend.dispatch(Watching { watch, seen });
            }
            view.prefetch_read(tile.end);
            if max_norm.is_none() {
                self.finish(view, &tile, scratch, Limit::NONE, true);
            }
        }
        if let Some(max) = max_norm {
            self.finish_row(view, unit, scratch, max, true);
            // The average that is there now may have a larger norm.
            if self.overwrite && view.average.is_some() {
                self.finish_row(view, unit, scratch, max, false);
            }
        }
    }

    /// Finishes a row, which is to have a norm of at most `max`.
    fn finish_row(
        &self,
        view: &mut View<'_>,
        unit: &RowOrRange,
        scratch: &mut Scratch,
        max: f64,
        averages: bool,
    ) {
        let norm = param_norm(self.preparation.backend, view, &unit.range, scratch);
        let limit = Limit::of(norm, max, unit.range.len());
        for tile in tiles(&unit.range) {
            load_params(view, self.preparation.backend, &tile, &mut scratch.params);
            self.finish(view, &tile, scratch, limit, averages);
        }
    }

    /// Returns whether there is nothing to be done beside the rule, with slices that lie there as it takes them.
    fn leaves_alone(&self, view: &View<'_>) -> bool {
        let kept = self.flush || self.max_norm.is_some() || self.bounds.is_some() || self.zero_grads;
        let written = view.copy.is_some() || view.average.is_some();
        let as_it_lies =
            matches!(view.params, FloatsMut::F32(_)) && self.preparation.in_place(view).is_some();
        as_it_lies && !kept && !written
    }

    /// The rule, the flush, the rounding to the format of the parameters; what telemetry will have to know is kept.
    fn apply_rule(
        &self,
        view: &mut View<'_>,
        unit: &RowOrRange,
        tile: &ops::Range<usize>,
        scratch: &mut Scratch,
        sweep: Sweep<'_>,
    ) {
        self.preparation.load(view, unit, tile, scratch);
        let is_watched = view.telemetry.is_some();
        let Tile { params, half, grads, mut state, changes, old_params, old_momentum } =
            Tile::of(view, &self.preparation, tile, scratch, is_watched);
        copy_floats(params, old_params);
        if let Some(momentum) = self.momentum.and_then(|slot| state.get(slot)) {
            copy_floats(momentum, old_momentum);
        }
        let lent = state.each_mut().map(|slice| &mut **slice);
        sweep(Batch::Tile(Slices { params, grads, state: lent, changes }));
        self.preparation.backend.dispatch(AfterRule { state: self.flushed(&mut state), half, params });
    }

    /// A tile that has been stepped, as telemetry sees it.
    fn seen<'t>(&self, view: &'t View<'_>, tile: &ops::Range<usize>, scratch: &'t Scratch) -> Seen<'t> {
        let len = tile.len();
        let momentum = self.momentum.and_then(|slot| view.state.get(slot));
        Seen {
            grads: match self.preparation.in_place(view) {
                Some(grads) => within(grads, tile),
                None => scratch.grads.held(len),
            },
            scale: self.scale,
            old: scratch.old_params.held(len),
            new: match &view.params {
                FloatsMut::F32(params) => within(params, tile),
                FloatsMut::Half(..) => scratch.params.held(len),
            },
            changes: scratch.changes.held(len),
            momentum: match momentum {
                Some(now) => [scratch.old_momentum.held(len), within(now, tile)],
                None => [within(&NO_MOMENTUM, &(0..len)); 2],
            },
            next: view.read_from(tile.end),
        }
    }

    fn flushed<'t, 's>(&self, state: &'t mut [&'s mut [f32]]) -> &'t mut [&'s mut [f32]] {
        if self.flush { within_mut(state, &(0..self.full_slots)) } else { &mut [] }
    }

    /// What comes after the step: from the parameters in the tensor, or in the scratch where they have 16 bits.
    fn finish(
        &self,
        view: &mut View<'_>,
        tile: &ops::Range<usize>,
        scratch: &mut Scratch,
        limit: Limit,
        averages: bool,
    ) {
        let (params, half) = match &mut view.params {
            FloatsMut::F32(params) => (within_mut(params, tile), None),
            FloatsMut::Half(format, bits) => {
                (scratch.params.first(tile.len()), Some((*format, within_mut(bits, tile))))
            }
        };
        let averages = averages && (self.average.is_some() || self.overwrite);
        let average = view.average.as_deref_mut().filter(|_| averages);
        let average = average.map(|average| within_mut(average, tile));
        if limit.factor != 1.0 || self.bounds.is_some() || average.is_some() || view.copy.is_some() {
            self.preparation.backend.dispatch(Finish {
                limit,
                bounds: self.bounds,
                average,
                weight: self.average,
                overwrite: self.overwrite,
                copy: view.copy.as_mut().map(|copy| (copy, tile.start)),
                copy_bounds: self.copy_bounds.unwrap_or((f32::NEG_INFINITY, f32::INFINITY)),
                half,
                params,
            });
        }
        if self.zero_grads {
            view.zero_grads(tile);
        }
    }
}

/// How a row is held to its greatest norm.
#[derive(Clone, Copy)]
struct Limit {
    /// What its elements are multiplied with; 1 where they stay as they are.
    factor: f64,
    /// True if its copy, rounded to nearest, might be above the norm.
    copy_toward_zero: bool,
}

impl Limit {
    const NONE: Self = Self { factor: 1.0, copy_toward_zero: false };

    /// What a sum of squares and the operations around it may be off by: within a block of 4096 elements 256 additions, each
    /// by 2^-53.
    const SURELY_BELOW: f64 = 1.0 - f64::EPSILON * 256.0;

    /// For a row of so many elements.
    fn of(norm: f64, max: f64, len: usize) -> Self {
        // An infinity in the row would become NaN.
        let is_above = norm > max && norm < f64::INFINITY;
        let factor = if is_above { max / norm * Self::SURELY_BELOW } else { 1.0 };
        // By rounding to nearest a number of 16 bits grows by 2^-9 of itself at most, or where it is subnormal by 2^-25. Above
        // 65504 it may become infinite.
        let copied = norm.min(max) * (1.0 + 1.0 / 256.0) + sqrt(len as f64) / 16_777_216.0;
        Self { factor, copy_toward_zero: copied > max.min(65_504.0) }
    }
}

impl Preparation {
    /// Gives all of a range to a sweep, which may change the state.
    pub(super) fn feed(&self, view: &mut View<'_>, scratch: &mut Scratch, sweep: Sweep<'_>) {
        let mut at = 0;
        while at < view.params.len() {
            let unit = self.unit(view, at, scratch);
            at = unit.range.end;
            for tile in tiles(&unit.range) {
                self.load(view, &unit, &tile, scratch);
                let Tile { params, grads, state, .. } = Tile::of(view, self, &tile, scratch, false);
                sweep(Batch::Tile(Slices { params, grads, state, changes: &mut [] }));
            }
        }
    }

    /// Brings what does not lie there in single precision to the scratch.
    fn load(&self, view: &View<'_>, unit: &RowOrRange, tile: &ops::Range<usize>, scratch: &mut Scratch) {
        if self.in_place(view).is_none() {
            self.prepare(view, tile.clone(), unit, &mut scratch.grads);
        }
        load_params(view, self.backend, tile, &mut scratch.params);
    }
}

/// Parameters of 16 bits: what they are kept in, beside the single precision that is worked with.
type Half<'t> = Option<(Format, &'t mut [u16])>;

/// One tile of everything.
struct Tile<'t> {
    params: &'t mut [f32],
    half: Half<'t>,
    grads: &'t [f32],
    state: [&'t mut [f32]; MAX_STATE],
    changes: &'t mut [f32],
    old_params: &'t mut [f32],
    old_momentum: &'t mut [f32],
}

impl<'t> Tile<'t> {
    /// A tile that was loaded, and what of the scratch belongs to it; if it is `watched`, room for what telemetry looks at.
    fn of(
        view: &'t mut View<'_>,
        preparation: &Preparation,
        tile: &ops::Range<usize>,
        scratch: &'t mut Scratch,
        watched: bool,
    ) -> Self {
        let in_place = preparation.in_place(view).is_some();
        let len = tile.len();
        let Scratch { grads, params, changes, old_params, old_momentum } = scratch;
        let (params, half) = match &mut view.params {
            FloatsMut::F32(params) => (within_mut(params, tile), None),
            FloatsMut::Half(format, bits) => (params.first(len), Some((*format, within_mut(bits, tile)))),
        };
        let watched = if watched { len } else { 0 };
        Self {
            params,
            half,
            grads: match view.grads.as_floats() {
                Floats::F32(grads) if in_place => within(grads, tile),
                _ => grads.first(len),
            },
            state: view.state.each_mut().map(|slice| within_if_any(slice, tile)),
            changes: changes.first(watched),
            old_params: old_params.first(watched),
            old_momentum: old_momentum.first(watched),
        }
    }
}

/// Brings 16-bit parameters to single precision, in the scratch.
fn load_params(view: &View<'_>, backend: Backend, tile: &ops::Range<usize>, to: &mut LazyBuffer<TILE>) {
    if let from @ Floats::Half(..) = view.params.as_floats() {
        backend.dispatch(Decode { from, at: tile.start, to: to.first(tile.len()) });
    }
}

struct AfterRule<'t, 's> {
    /// What is to be flushed of it.
    state: &'t mut [&'s mut [f32]],
    half: Half<'t>,
    params: &'t mut [f32],
}

impl Vectorized for AfterRule<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        for slice in self.state {
            for x in slice.iter_mut() {
                // A mask, for a choice between values would become a masked store, which some processors are slow at.
                let keep = u32::from(x.abs() >= f32::MIN_POSITIVE || x.is_nan()).wrapping_neg();
                *x = f32::from_bits(x.to_bits() & keep);
            }
        }
        if let Some((format, bits)) = self.half {
            format.encode(self.params, bits, |x| x);
            format.decode(bits, self.params, |p, x| *p = x);
        }
    }
}

struct Watching<'t> {
    watch: &'t mut Watch,
    seen: Seen<'t>,
}

impl Vectorized for Watching<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        self.watch.see(&self.seen);
    }
}

struct Finish<'t, 'c> {
    limit: Limit,
    bounds: Option<(f32, f32)>,
    average: Option<&'t mut [f32]>,
    weight: Option<f32>,
    overwrite: bool,
    copy: Option<(&'t mut FloatsMut<'c>, usize)>,
    copy_bounds: (f32, f32),
    half: Half<'t>,
    params: &'t mut [f32],
}

impl Vectorized for Finish<'_, '_> {
    type Output = ();

    /// The parameters are numbers of their format throughout, so that bounds, averages and copies are of what is stored.
    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { limit, bounds, average, weight, overwrite, copy, copy_bounds, mut half, params } = self;
        if limit.factor != 1.0 {
            scale_toward_zero(params, limit.factor, &mut half);
        }
        keep_within(params, bounds);
        if let Some(average) = average {
            if let Some(weight) = weight {
                keep_average(average, params, weight);
            }
            if overwrite {
                copy_floats(average, params);
                keep_within(params, bounds);
            }
        }
        if let Some((format, bits)) = half {
            format.encode(params, bits, |x| x);
            if overwrite {
                format.decode(bits, params, |p, x| *p = x);
            }
        }
        if let Some((copy, at)) = copy {
            copy.encode(at, params, copy_bounds, limit.copy_toward_zero);
        }
    }
}

/// Multiplies with a factor below 1. No magnitude is above that of the exact product, but for the rounding in `f64`.
#[inline(always)]
fn scale_toward_zero(params: &mut [f32], factor: f64, half: &mut Half<'_>) {
    for p in params.iter_mut() {
        let product = f64::from(*p) * factor;
        let near = product as f32;
        let beyond = u32::from(f64::from(near).abs() > product.abs());
        *p = f32::from_bits(near.to_bits().wrapping_sub(beyond));
    }
    if let Some((format, bits)) = half {
        format.encode_toward_zero(params, bits, |x| x);
        format.decode(bits, params, |p, x| *p = x);
    }
}

#[inline(always)]
fn keep_within(params: &mut [f32], bounds: Option<(f32, f32)>) {
    if let Some((low, high)) = bounds {
        params.iter_mut().for_each(|p| *p = clamp(*p, low, high));
    }
}

/// At weight 1 whatever the average held before does not matter, a NaN included.
#[inline(always)]
fn keep_average(average: &mut [f32], params: &[f32], weight: f32) {
    if weight == 1.0 {
        return copy_floats(params, average);
    }
    for (average, p) in average.iter_mut().zip(params) {
        let distance = p - *average;
        let near = *average + distance * weight;
        // Two numbers on both sides of zero, so far from each other that their distance overflows.
        let far = (*average - *average * weight) + p * weight;
        *average = if distance.abs() < f32::INFINITY { near } else { far };
    }
}
