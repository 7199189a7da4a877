//! The trip over the tensors before the step, for rules that must know something of whole tensors: sums over all elements, the
//! same bits whatever the instructions and the threads.

use core::array;

use crate::{
    formats::{
        slices::{MAX_STATE, Slices},
        tiles::{TILE, tiles},
    },
    numbers::{
        blocks::{Blocks, Row, Terms},
        exact_sum::ExactSum,
    },
    rule::{
        kernel::{Change, Kernel, KernelVisitor},
        limits::{MAX_OUTPUTS, MAX_SCALARS, MAX_SUMS},
        regularize::{Mixed, Prepare},
        slots::{Slot, full_slots, has_only_full},
        sums::{Scope, Sum, Term},
    },
    simd::{
        backend::Backend,
        isa::{Isa, Vectorized},
        lane::Lane,
    },
    sweep::{
        erased::{Batch, ErasedRule, Feed, MeasureWith, Sweep},
        groups::{Program, SharedNumbers, for_each_group},
        sweep::sweep,
    },
    tensor::{
        state::{read_scalars, write_scalars},
        tag::Tag,
        tensor::Tensor,
    },
};

/// Gives all elements of a tensor to a sweep, in tiles.
pub(crate) type FeedTensor<'f> = &'f dyn Fn(&mut Tensor<'_>, Sweep<'_>);

/// The same for a tensor that has nothing to be converted.
pub(crate) fn feed_plain(tensor: &mut Tensor<'_>, sweep: Sweep<'_>) {
    if let Some(mut slices) = tensor.slices() {
        for tile in tiles(&(0..slices.len())) {
            sweep(Batch::Tile(slices.part(&tile)));
        }
    }
}

/// Measures all tensors whose rule asks for it, and settles their scalars.
pub(crate) fn measure(
    backend: Backend,
    program: &dyn Program,
    tensors: &mut [Tensor<'_>],
    feed: FeedTensor<'_>,
) {
    for_each_group(tensors, Tag::has_rule_of, |tag, group| {
        let rule = program.rule(tag);
        let scope = rule.measures().map_or(Scope::Tensor, |measures| measures.scope());
        match scope {
            _ if has_only_full(rule.slots()) => {}
            Scope::Tensor => {
                for tensor in group.chunks_mut(1) {
                    settle(backend, rule, SharedNumbers::default(), tensor, feed);
                }
            }
            Scope::Together => settle(backend, rule, program.shared(tag), group, feed),
        }
    });
}

/// Takes the newest scalars among the tensors, changes them by the sums over all, and gives them to all.
fn settle(
    backend: Backend,
    rule: &dyn ErasedRule,
    shared: SharedNumbers,
    tensors: &mut [Tensor<'_>],
    feed: FeedTensor<'_>,
) {
    let stepped = tensors.iter().filter(|tensor| !tensor.skipped());
    let Some(step) = stepped.map(|tensor| tensor.tag().step).max() else { return };
    let step = step.max(shared.steps);
    let slots = rule.slots();
    let mut scalars = newest_scalars(slots, shared, tensors);
    let known = &mut scalars[..scalars_of(slots)];
    let mut sums = [ExactSum::default(); MAX_SUMS];
    for tensor in tensors.iter_mut().filter(|tensor| !tensor.skipped()) {
        let factor = tensor.plan.factor;
        let of_tensor = sums_over(backend, rule, step, known, factor, &mut |sweep| feed(tensor, sweep));
        sums.iter_mut().zip(&of_tensor).for_each(|(sum, of_tensor)| sum.merge(of_tensor));
    }
    settle_by(rule, step, &sums, known);
    tensors.iter_mut().for_each(|tensor| tensor.settle(slots, scalars));
}

/// The scalars of the tensor that has taken the most steps. Where several have, these are alike, but for one that joined
/// without a counter of its own and starts from zeros: then the larger ones are the newer ones. A tensor that is left out
/// before its first step has no state yet.
fn newest_scalars(slots: &[Slot], shared: SharedNumbers, tensors: &[Tensor<'_>]) -> [f64; MAX_SCALARS] {
    let of_tensor = |tensor: &Tensor<'_>| SharedNumbers {
        steps: tensor.tag().step.saturating_sub(1),
        scalars: tensor.scalars(slots),
    };
    let has_state = |tensor: &&Tensor<'_>| !(tensor.tag().fresh && tensor.skipped());
    tensors.iter().filter(has_state).map(of_tensor).fold(shared, SharedNumbers::newer).scalars
}

/// The sums over what `feed` gives, whose gradients are multiplied with `factor` before the rule sees them.
fn sums_over<R: ErasedRule + ?Sized>(
    backend: Backend,
    rule: &R,
    step: u64,
    scalars: &[f64],
    factor: f32,
    feed: Feed<'_>,
) -> [ExactSum; MAX_SUMS] {
    let mut blocks = array::from_fn(|_| Blocks::new());
    let Prepare { scale, shrink } = rule.prepare();
    let with = MeasureWith {
        backend,
        prepare: Prepare { scale: scale * factor, shrink },
        full_slots: full_slots(rule.slots()),
        sums: rule.measures().map_or(&[], |measures| measures.sums()),
        blocks: &mut blocks,
        feed,
    };
    rule.measure(step, scalars, with);
    blocks.map(|blocks: Blocks| {
        let [sum] = blocks.finish();
        sum
    })
}

/// Changes scalars by the sums.
fn settle_by<R: ErasedRule + ?Sized>(rule: &R, step: u64, sums: &[ExactSum; MAX_SUMS], scalars: &mut [f64]) {
    if let Some(measures) = rule.measures() {
        let sums = sums.each_ref().map(ExactSum::total);
        measures.settle(step, &sums[..measures.sums().len().min(MAX_SUMS)], scalars);
    }
}

/// Returns how many of a rule's scalars there are.
fn scalars_of(slots: &[Slot]) -> usize {
    (slots.len() - full_slots(slots)).min(MAX_SCALARS)
}

/// Measures a single tensor and settles its scalars, which the state then holds. None where the rule has none.
pub(crate) fn settle_alone<R: ErasedRule + ?Sized>(
    backend: Backend,
    rule: &R,
    step: u64,
    slices: &mut Slices<'_, MAX_STATE>,
) -> [f64; MAX_SCALARS] {
    let slots = rule.slots();
    if has_only_full(slots) {
        return [0.0; MAX_SCALARS];
    }
    let mut scalars = read_scalars(slots, &slices.state);
    let known = &mut scalars[..scalars_of(slots)];
    let feed = &mut |sweep: Sweep<'_>| {
        for tile in tiles(&(0..slices.len())) {
            sweep(Batch::Tile(slices.part(&tile)));
        }
    };
    let sums = sums_over(backend, rule, step, known, 1.0, feed);
    settle_by(rule, step, &sums, known);
    write_scalars(slots, &mut slices.state, scalars);
    scalars
}

impl KernelVisitor for MeasureWith<'_> {
    type Output = ();

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let Self { backend, prepare: Prepare { scale, shrink }, full_slots, sums, blocks, feed } = self;
        let kernel = Seen { kernel, scale, mixed: shrink.mixed() };
        let mut outputs = [[0.0; TILE]; MAX_OUTPUTS];
        feed(&mut |batch| {
            if let Batch::Tile(mut tile) = batch {
                let slices = tile.with_outputs(full_slots, &mut outputs);
                backend.dispatch(Tile { kernel, sums, blocks, slices });
            }
        });
    }
}

struct Tile<'t, K, const N: usize> {
    kernel: K,
    sums: &'static [Sum],
    blocks: &'t mut [Blocks; MAX_SUMS],
    slices: Slices<'t, N>,
}

impl<K: Kernel<N>, const N: usize> Vectorized for Tile<'_, K, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Slices { params, grads, mut state, .. } = self.slices;
        let lent = state.each_mut().map(|slice| &mut **slice);
        sweep(isa, self.kernel, Slices { params, grads, state: lent, changes: &mut [] });
        for (blocks, sum) in self.blocks.iter_mut().zip(self.sums) {
            if let Some(values) = state.get(sum.slot) {
                add(blocks, values, sum.term);
            }
        }
    }
}

#[inline(always)]
fn add(blocks: &mut Blocks, values: &[f32], term: Term) {
    blocks.push([values], term);
}

impl Terms<1, 1> for Term {
    #[inline(always)]
    fn add(&mut self, [row]: [&Row<f32>; 1], [lanes]: &mut [Row<f64>; 1]) {
        for (lane, value) in lanes.iter_mut().zip(row) {
            let value = f64::from(*value);
            *lane += match self {
                Term::Value => value,
                Term::Magnitude => value.abs(),
                Term::Square => value * value,
            };
        }
    }
}

/// A measuring kernel sees the gradient and the parameter that the rule will see. It leaves the parameter as it is.
#[derive(Clone, Copy)]
struct Seen<K> {
    kernel: K,
    scale: f32,
    mixed: Mixed,
}

impl<K: Kernel<N>, const N: usize> Kernel<N> for Seen<K> {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, state: [L; N]) -> (Change<L>, [L; N]) {
        let (_, state) =
            self.kernel.update(self.mixed.seen(p), self.mixed.gradient(p, g * self.scale), state);
        (Change::To(p), state)
    }
}
