//! What a set of instructions must offer, and work that is compiled once for each of them.

use crate::simd::lane::Lane;

/// A set of instructions: how memory becomes lanes and lanes memory.
pub(crate) trait Isa: Copy {
    type Lane: Lane;
    /// What steps the elements before the first aligned chunk.
    type Narrower: Isa + Default;
    /// [`LANES`](Isa::LANES) consecutive floats in memory, at any alignment that an `f32` may have.
    type Chunk: Copy + 'static;
    const LANES: usize = size_of::<Self::Chunk>() / size_of::<f32>();

    /// Whole chunks, and the rest that is shorter than one.
    fn chunks(floats: &[f32]) -> (&[Self::Chunk], &[f32]);
    fn chunks_mut(floats: &mut [f32]) -> (&mut [Self::Chunk], &mut [f32]);

    fn load(self, chunk: Self::Chunk) -> Self::Lane;
    fn store(self, lane: Self::Lane) -> Self::Chunk;

    /// A chunk of zeros.
    #[inline(always)]
    fn zeros(self) -> Self::Chunk {
        self.store(self.load_part(&[]))
    }

    /// Fewer floats than a chunk has; the other lanes hold zero.
    fn load_part(self, floats: &[f32]) -> Self::Lane;
    /// Only as many lanes as there are floats.
    fn store_part(self, lane: Self::Lane, floats: &mut [f32]);
}

/// Work that is compiled once for each set of instructions.
pub(crate) trait Vectorized {
    type Output;
    fn eval<I: Isa>(self, isa: I) -> Self::Output;
}

/// A function of its own for each backend, as `pulp` makes them: `.ci/code-size` and profilers can tell them apart. Not
/// in firmware, where what is known of the rule is folded into the loop: on a Cortex-M4F momentum takes 12 instructions a
/// parameter instead of 19.
#[cfg_attr(feature = "std", inline(never))]
pub(crate) fn compiled<I: Isa, V: Vectorized>(isa: I, work: V) -> V::Output {
    work.eval(isa)
}
