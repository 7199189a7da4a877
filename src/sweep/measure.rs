//! The pass before the step, for rules that must know something of whole tensors: sums over all elements, the same bits
//! whatever the instructions and the threads.

use core::{array, cmp::Ordering, fmt};

use crate::{
    numbers::{
        blocks::{Blocks, Row, Terms},
        exact_sum::ExactSum,
        math::sqrt,
    },
    rule::{
        regularize::{Mixed, Prepare},
        rule::{Change, Kernel, KernelVisitor, Rule},
        slots::{Slot, full_slots, has_only_full},
    },
    simd::{
        backend::Backend,
        isa::{Isa, Vectorized},
        lane::Lane,
    },
    sweep::{
        kernels::{Feed, Program, Shared, Sweep, Tagged, for_each_group},
        sweep::sweep,
    },
    tensor::{
        tensor::{Slices, Tag},
        tiles::TILE,
    },
};

/// The most numbers that a tensor carries beside its slices.
pub(crate) const MAX_SCALARS: usize = 4;

/// The most sums that a rule may ask for.
const MAX_SUMS: usize = 4;

/// The most values that a measuring kernel puts out beside its state.
pub(crate) const MAX_OUTPUTS: usize = 2;

/// What is added up over the elements of a tensor, in `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// The value itself.
    Value,
    /// Its magnitude.
    Magnitude,
    /// Its square, which is exact.
    Square,
}

/// A sum over all elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Of which of the values that the measuring kernel returns: first its state slices, then its outputs.
    pub slot: usize,
    /// What is added up.
    pub term: Term,
}

impl Sum {
    /// The sum of the squares in `slot`.
    #[must_use]
    pub const fn squares(slot: usize) -> Self {
        Self { slot, term: Term::Square }
    }
}

/// Which elements a rule's sums go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each tensor's own.
    Tensor,
    /// Those of all tensors that are stepped together with one rule. What follows from them is one set of numbers for all
    /// of these tensors, those that the step leaves out included, and every one of them keeps a copy.
    Together,
}

/// A tensor, as far as it can be measured.
pub(crate) trait Whole: Tagged {
    /// What its state holds about the whole tensor.
    fn scalars(&self, slots: &[Slot]) -> [f64; MAX_SCALARS];

    /// Puts that back, and keeps it for the step as it is before it is rounded.
    fn settle(&mut self, slots: &[Slot], scalars: [f64; MAX_SCALARS]);

    /// What its gradients are multiplied with before the rule sees them.
    fn factor(&self) -> f32;

    /// Whether it is not to be stepped.
    fn is_left_out(&self) -> bool;
}

/// Measures all tensors whose rule asks for it, and settles their scalars. `feed` gives all elements of a tensor, in tiles.
pub(crate) fn measure<T: Whole>(
    backend: Backend,
    program: &impl Program,
    tensors: &mut [T],
    feed: impl Fn(&mut T, Sweep<'_>),
) {
    for_each_group(tensors, Tag::has_rule_of, |tag, group| {
        let rule = program.rule(tag);
        match rule.scope() {
            _ if has_only_full(rule.slots()) => {}
            Scope::Tensor => {
                group.chunks_mut(1).for_each(|tensor| settle(backend, rule, Shared::default(), tensor, &feed))
            }
            Scope::Together => settle(backend, rule, program.shared(tag), group, &feed),
        }
    });
}

/// One of a rule's scalars; 0 where there are fewer.
pub(crate) fn scalar(scalars: &[f64], i: usize) -> f64 {
    scalars.get(i).copied().unwrap_or_default()
}

/// A measuring kernel that puts the gradient out, behind the state.
#[derive(Clone, Copy)]
pub(crate) struct Gradient;

impl<const N: usize> Kernel<N> for Gradient {
    #[inline(always)]
    fn update<L: Lane>(self, p: L, g: L, mut state: [L; N]) -> (Change<L>, [L; N]) {
        if let Some(last) = state.last_mut() {
            *last = g;
        }
        (Change::To(p), state)
    }
}

/// Takes the newest scalars among the tensors, changes them by the sums over all, and gives them to all.
fn settle<R: Rule, T: Whole>(
    backend: Backend,
    rule: &R,
    shared: Shared,
    tensors: &mut [T],
    feed: &impl Fn(&mut T, Sweep<'_>),
) {
    let stepped = tensors.iter().filter(|tensor| !tensor.is_left_out());
    let Some(step) = stepped.map(|tensor| tensor.tag().step).max() else { return };
    let step = step.max(shared.steps);
    let slots = rule.slots();
    let mut scalars = newest_scalars(slots, shared, tensors);
    let known = &mut scalars[..(slots.len() - full_slots(slots)).min(MAX_SCALARS)];
    let mut sums = [ExactSum::default(); MAX_SUMS];
    for tensor in tensors.iter_mut().filter(|tensor| !tensor.is_left_out()) {
        let of_tensor = measure_tensor(backend, rule, step, known, tensor, feed);
        sums.iter_mut().zip(&of_tensor).for_each(|(sum, of_tensor)| sum.merge(of_tensor));
    }
    let sums = sums.map(|sum| sum.total());
    rule.settle(step, &sums[..rule.sums().len().min(MAX_SUMS)], known);
    tensors.iter_mut().for_each(|tensor| tensor.settle(slots, scalars));
}

/// The scalars of the tensor that has taken the most steps. Where several have, these are alike, but for one that joined
/// without a counter of its own and starts from zeros: then the larger ones are the newer ones. A tensor that is left out
/// before its first step has no state yet.
fn newest_scalars<T: Whole>(slots: &[Slot], shared: Shared, tensors: &[T]) -> [f64; MAX_SCALARS] {
    let of_tensor =
        |tensor: &T| Shared { steps: tensor.tag().step.saturating_sub(1), scalars: tensor.scalars(slots) };
    let has_state = |tensor: &&T| !(tensor.tag().fresh && tensor.is_left_out());
    tensors.iter().filter(has_state).map(of_tensor).fold(shared, Shared::newer).scalars
}

impl Shared {
    /// The one after more steps, or else the larger one. A NaN is above all numbers: its sign depends on the machine.
    pub(crate) fn newer(self, other: Self) -> Self {
        let key = |x: f64| if x.is_nan() { f64::NAN } else { x };
        let pairs = self.scalars.iter().zip(&other.scalars);
        let in_turn = pairs.map(|(mine, others)| key(*mine).total_cmp(&key(*others)));
        match in_turn.fold(self.steps.cmp(&other.steps), Ordering::then) {
            Ordering::Less => other,
            Ordering::Equal | Ordering::Greater => self,
        }
    }
}

fn measure_tensor<R: Rule, T: Whole>(
    backend: Backend,
    rule: &R,
    step: u64,
    scalars: &[f64],
    tensor: &mut T,
    feed: &impl Fn(&mut T, Sweep<'_>),
) -> [ExactSum; MAX_SUMS] {
    let mut blocks = array::from_fn(|_| Blocks::new());
    let Prepare { scale, shrink } = rule.prepare();
    let measuring = Measuring {
        backend,
        prepare: Prepare { scale: scale * tensor.factor(), shrink },
        long: full_slots(rule.slots()),
        sums: rule.sums(),
        blocks: &mut blocks,
        feed: &mut |sweep| feed(tensor, sweep),
    };
    rule.measure(step, scalars, measuring);
    blocks.map(|blocks: Blocks| {
        let [sum] = blocks.finish();
        sum
    })
}

/// The visitor that runs a measuring kernel over a tensor.
pub struct Measuring<'f> {
    backend: Backend,
    prepare: Prepare,
    /// How many state slices are no scalars.
    long: usize,
    sums: &'static [Sum],
    blocks: &'f mut [Blocks; MAX_SUMS],
    feed: Feed<'f>,
}

impl fmt::Debug for Measuring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measuring").field("sums", &self.sums).finish_non_exhaustive()
    }
}

impl KernelVisitor for Measuring<'_> {
    type Output = ();

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let Self { backend, prepare: Prepare { scale, shrink }, long, sums, blocks, feed } = self;
        let kernel = Seen { kernel, scale, mixed: shrink.mixed() };
        let mut outputs = [[0.0; TILE]; MAX_OUTPUTS];
        feed(&mut |tensors| {
            for tensor in tensors {
                let slices = tensor.with_outputs(long, &mut outputs);
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

/// How much larger a tensor's parameters are than its update, both as sums of squares; 1 where there is nothing to compare.
pub(crate) fn trust_ratio(params: f64, update: f64, coefficient: f64, eps: f64) -> f64 {
    if params == 0.0 || update == 0.0 { 1.0 } else { coefficient * sqrt(params) / (sqrt(update) + eps) }
}
