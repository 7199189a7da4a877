//! The pass before the step, for rules that must know something of whole tensors: sums over all elements, the same bits
//! whatever the instructions and the threads.

use core::array;

use crate::{
    Backend, Change, Kernel, KernelVisitor, Lane, Mixed, Prepare, Rule, Tensor,
    backend::Vectorized,
    lane::Isa,
    math::sqrt,
    run::{Program, for_each_group},
    sweep::sweep,
    tensor::Slices,
};

/// The most numbers that a tensor carries beside its slices.
pub(crate) const MAX_SCALARS: usize = 4;

/// The most sums that a rule may ask for.
const MAX_SUMS: usize = 4;

/// As many sums as a rule asked for, then zeros.
pub type Sums = [f64; MAX_SUMS];

/// The most values that a measuring kernel puts out beside its state.
pub(crate) const MAX_OUTPUTS: usize = 2;

/// Elements that are summed up by themselves: blocks count from the tensor's start.
pub(crate) const BLOCK: usize = 4096;

/// Running sums within a block, so that they can be vectorised.
const LANES: usize = 16;

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
    /// Those of all tensors that are stepped together, in their order: with one rule, and at the same step.
    Together,
}

/// Measures all tensors whose rule asks for it, and settles their scalars.
pub(crate) fn measure(backend: Backend, program: &impl Program, tensors: &mut [Tensor<'_>]) {
    for_each_group(program, tensors, |rule, step, group| match rule.scope() {
        _ if rule.scalars() == 0 => {}
        Scope::Tensor => group.chunks_mut(1).for_each(|tensor| settle(backend, rule, step, tensor)),
        Scope::Together => settle(backend, rule, step, group),
    });
}

/// One of a rule's scalars; 0 where there are fewer.
pub(crate) fn scalar(scalars: &[f32], i: usize) -> f64 {
    scalars.get(i).copied().unwrap_or_default().into()
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

/// Takes the scalars of the first tensor, changes them by the sums over all, and gives them to all.
fn settle<R: Rule>(backend: Backend, rule: &R, step: u64, tensors: &mut [Tensor<'_>]) {
    let Some(mut scalars) = tensors.first_mut().map(|tensor| tensor.read_scalars(rule.scalars())) else {
        return;
    };
    let known = &mut scalars[..rule.scalars().min(MAX_SCALARS)];
    let mut sums = [0.0; MAX_SUMS];
    for tensor in &mut *tensors {
        let long = rule.state().len().saturating_sub(rule.scalars());
        let measuring = Measuring { backend, prepare: rule.prepare(), sums: rule.sums(), long, tensor };
        let of_tensor = rule.measure(step, known, measuring).unwrap_or_default();
        for (sum, of_tensor) in sums.iter_mut().zip(of_tensor) {
            *sum += of_tensor;
        }
    }
    rule.settle(step, &sums[..rule.sums().len().min(MAX_SUMS)], known);
    for tensor in tensors {
        tensor.write_scalars(rule.scalars(), scalars);
    }
}

/// The visitor that runs a measuring kernel over a tensor.
#[derive(Debug)]
pub struct Measuring<'a, 'b> {
    backend: Backend,
    prepare: Prepare,
    sums: &'static [Sum],
    /// How many state slices are no scalars.
    long: usize,
    tensor: &'a mut Tensor<'b>,
}

impl KernelVisitor for Measuring<'_, '_> {
    type Output = Sums;

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) -> Sums {
        let Prepare { scale, shrink } = self.prepare;
        let kernel = Seen { kernel, scale, mixed: shrink.mixed() };
        self.backend.run(Blocks { kernel, sums: self.sums, long: self.long, tensor: self.tensor })
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

struct Blocks<'a, 'b, K, const N: usize> {
    kernel: K,
    sums: &'static [Sum],
    /// How many state slices are no scalars.
    long: usize,
    tensor: &'a mut Tensor<'b>,
}

impl<K: Kernel<N>, const N: usize> Vectorized for Blocks<'_, '_, K, N> {
    type Output = Sums;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Sums {
        let mut trees: [Tree; MAX_SUMS] = array::from_fn(|_| Tree::default());
        let mut scratch = [[0.0; BLOCK]; MAX_OUTPUTS];
        for start in (0..self.tensor.len()).step_by(BLOCK) {
            let Slices { params, grads, mut state } = self.tensor.block::<N>(start, self.long, &mut scratch);
            let slices = Slices { params, grads, state: state.each_mut().map(|slice| &mut **slice) };
            sweep(isa, self.kernel, slices);
            for (tree, sum) in trees.iter_mut().zip(self.sums) {
                tree.push(state.get(sum.slot).map_or(0.0, |values| sum_block(values, sum.term)));
            }
        }
        trees.map(|tree| tree.total())
    }
}

#[inline(always)]
fn sum_block(values: &[f32], term: Term) -> f64 {
    let mut lanes = [0.0; LANES];
    for chunk in values.chunks(LANES) {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            let value = f64::from(value);
            *lane += match term {
                Term::Value => value,
                Term::Magnitude => value.abs(),
                Term::Square => value * value,
            };
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// Adds up numbers in pairs, pairs of pairs and so on, as they come: entry `i` holds a sum of 2^i numbers where bit `i` of
/// the count is set.
struct Tree {
    sums: [f64; 48],
    count: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Self { sums: [0.0; 48], count: 0 }
    }
}

impl Tree {
    fn push(&mut self, mut sum: f64) {
        let full = self.count.trailing_ones() as usize;
        for lower in self.sums.iter().take(full) {
            sum += lower;
        }
        if let Some(place) = self.sums.get_mut(full) {
            *place = sum;
        }
        self.count += 1;
    }

    fn total(&self) -> f64 {
        let set = |(i, sum): (usize, &f64)| if self.count >> i & 1 == 1 { *sum } else { 0.0 };
        self.sums.iter().enumerate().map(set).sum()
    }
}

/// How much larger a tensor's parameters are than its update, both as sums of squares; 1 where there is nothing to compare.
pub(crate) fn trust_ratio(params: f64, update: f64, coefficient: f64, eps: f64) -> f32 {
    if params == 0.0 || update == 0.0 {
        1.0
    } else {
        (coefficient * sqrt(params) / (sqrt(update) + eps)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_adds_what_it_is_given() {
        for n in 0..200u32 {
            let mut tree = Tree::default();
            (1..=n).for_each(|i| tree.push(i.into()));
            assert_eq!(tree.total(), f64::from(n * (n + 1) / 2));
        }
    }

    #[test]
    fn a_block_of_any_length() {
        let all: [f32; 100] = array::from_fn(|i| i as f32 - 50.0);
        for values in (0..=100).map(|len| &all[..len]) {
            let exact = |term: fn(f64) -> f64| values.iter().map(|&x| term(x.into())).sum::<f64>();
            assert_eq!(sum_block(values, Term::Value), exact(|x| x));
            assert_eq!(sum_block(values, Term::Magnitude), exact(f64::abs));
            assert_eq!(sum_block(values, Term::Square), exact(|x| x * x));
        }
    }
}
