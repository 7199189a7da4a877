//! The one loop over tensors: which rule steps which, and the sweep over each.

use core::fmt;

use crate::{
    error::Error,
    rule::{
        regularize::{Prepare, Shrink},
        rule::{Change, Kernel, KernelVisitor, Rule},
        slots::{Slot, full_slots, has_only_full},
    },
    simd::{
        backend::Backend,
        isa::{Isa, Vectorized},
    },
    sweep::{
        around::Around,
        forms::{Coupled, Decayed, Scaled},
        measure::{MAX_OUTPUTS, MAX_SCALARS},
        sweep::sweep,
    },
    tensor::tensor::{MAX_STATE, Tag, Tensor},
};

/// Which rule steps the tensors with a tag.
pub(crate) trait Program: Sync {
    type Rule: Rule;
    /// Whether there is anything to be measured before the step.
    fn measures(&self) -> bool;
    fn rule(&self, tag: Tag) -> &Self::Rule;
    /// What the tensors of this group share, as far as it is known beside the tensors themselves.
    fn shared(&self, _: Tag) -> Shared {
        Shared::default()
    }
}

/// Numbers that tensors share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shared {
    /// How many steps the tensor has taken that has taken most; 0 where nothing is known.
    pub(crate) steps: u64,
    pub(crate) scalars: [f64; MAX_SCALARS],
}

/// One rule for all tensors.
pub(crate) struct OneRule<'a, R>(pub(crate) &'a R);

impl<R: Rule> Program for OneRule<'_, R> {
    type Rule = R;

    fn measures(&self) -> bool {
        !has_only_full(self.0.slots())
    }

    fn rule(&self, _: Tag) -> &R {
        self.0
    }
}

/// Anything that carries a tag.
pub(crate) trait Tagged {
    fn tag(&self) -> Tag;
}

/// Calls `work` with each run of neighbours whose tags are `alike`, and with the first one's tag.
pub(crate) fn for_each_group<T: Tagged>(
    mut tensors: &mut [T],
    alike: impl Fn(Tag, Tag) -> bool,
    mut work: impl FnMut(Tag, &mut [T]),
) {
    while let Some(tag) = tensors.first().map(Tagged::tag) {
        let same = tensors.iter().take_while(|tensor| alike(tensor.tag(), tag)).count();
        // There are as many; the compiler does not see it, and would keep a panic.
        let Some((now, later)) = tensors.split_at_mut_checked(same) else { return };
        work(tag, now);
        tensors = later;
    }
}

/// Steps all tensors on the calling thread. A group shares one kernel and one dispatch, unless its rule has scalars: they
/// make a kernel for each tensor.
pub(crate) fn run(backend: Backend, program: &impl Program, tensors: &mut [Tensor<'_>]) {
    for_each_group(tensors, Tag::goes_with, |tag, group| {
        let rule = program.rule(tag);
        let prepare = rule.prepare();
        if has_only_full(rule.slots()) {
            rule.run(tag.step, &[], Run { backend, prepare, feed: &mut |sweep| sweep(group) });
        } else {
            for tensor in group {
                let settled = tensor.settled();
                let tensors = core::slice::from_mut(tensor);
                rule.run(tag.step, &settled, Run { backend, prepare, feed: &mut |sweep| sweep(tensors) });
            }
        }
    });
}

/// Has a kernel go over tensors.
pub(crate) type Sweep<'s> = &'s mut dyn FnMut(&mut [Tensor<'_>]);

/// Gives tensors, or tiles of them, to a sweep, as often as it likes.
pub(crate) type Feed<'f> = &'f mut dyn FnMut(Sweep<'_>);

/// The visitor that runs a kernel over tensors.
pub struct Run<'f> {
    pub(crate) backend: Backend,
    pub(crate) prepare: Prepare,
    pub(crate) feed: Feed<'f>,
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("prepare", &self.prepare).finish_non_exhaustive()
    }
}

impl KernelVisitor for Run<'_> {
    type Output = ();

    fn visit<K: Kernel<N>, const N: usize>(self, kernel: K) {
        let Self { backend, prepare: Prepare { scale, shrink }, feed } = self;
        let around = |mixed| Around { backend, scale, mixed, places: places(kernel) };
        match shrink {
            Shrink::Nothing => step_in_loop(backend, Scaled { kernel, scale }, feed),
            Shrink::Decay(decay) => step_in_loop(backend, Decayed { kernel, scale, decay }, feed),
            // What stands in no branch of a `const` would be compiled for every kernel.
            Shrink::L2(l2) if const { K::L2_IN_LOOP } => {
                step_in_loop(backend, Coupled { kernel, scale, l2 }, feed);
            }
            Shrink::L2(_) | Shrink::Mixed(_) => step_around(around(shrink.mixed()), kernel, feed),
        }
    }
}

fn step_in_loop<K: Kernel<N>, const N: usize>(backend: Backend, kernel: K, feed: Feed<'_>) {
    feed(&mut |tensors| backend.dispatch(Sweeps { kernel, tensors }));
}

fn step_around<K: Kernel<N>, const N: usize>(around: Around, kernel: K, feed: Feed<'_>) {
    let kernel = Scaled { kernel, scale: 1.0 };
    feed(&mut |tensors| {
        around.step(tensors, &mut |tensors| around.backend.dispatch(Sweeps { kernel, tensors }));
    });
}

/// Whether the kernel puts new parameters in the place of the old ones. That cannot depend on the element: a kernel sees lanes,
/// and has no way to ask what is in them.
fn places<K: Kernel<N>, const N: usize>(kernel: K) -> bool {
    let (change, _) = kernel.update(0.0_f32, 0.0, [0.0; N]);
    matches!(change, Change::To(_))
}

struct Sweeps<'a, 'b, K, const N: usize> {
    kernel: K,
    tensors: &'a mut [Tensor<'b>],
}

impl<K: Kernel<N>, const N: usize> Vectorized for Sweeps<'_, '_, K, N> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        for tensor in self.tensors {
            if let Some(slices) = tensor.slices() {
                sweep(isa, self.kernel, slices);
            }
        }
    }
}

/// Refuses a step that no rule can take.
pub(crate) fn check_rule<R: Rule>(rule: &R, step: u64) -> Result<(), Error> {
    if step == 0 {
        return Err(Error::StepZero);
    }
    rule.check()?;
    let slots = rule.slots();
    let (named, full) = (slots.len(), full_slots(slots));
    let scalars = named - full;
    if slots.iter().skip(full).any(Slot::is_full) {
        return Err(Error::SlotOrder { rule: rule.name() });
    }
    if scalars > MAX_SCALARS {
        return Err(Error::TooManySlices { found: scalars, most: MAX_SCALARS });
    }
    if named > MAX_STATE {
        return Err(Error::TooManySlices { found: named, most: MAX_STATE });
    }
    let faulty = |taken| Error::KernelState { rule: rule.name(), named: full, taken };
    let taken = rule.with_kernel(step, CountState);
    if taken != full {
        return Err(faulty(taken));
    }
    // A measuring kernel takes the same slices, and up to so many outputs.
    let measured =
        if scalars > 0 { rule.with_measuring_kernel(step, &[1.0; MAX_SCALARS], CountState) } else { None };
    match measured {
        Some(measured) if !(taken..=taken + MAX_OUTPUTS).contains(&measured) => Err(faulty(measured)),
        _ => Ok(()),
    }
}

struct CountState;

impl KernelVisitor for CountState {
    type Output = usize;

    fn visit<K: Kernel<N>, const N: usize>(self, _: K) -> usize {
        N
    }
}
