//! What a rule may ask about whole tensors: sums over all elements, and the numbers that it makes of them.

/// The part of a rule that looks at whole tensors, before the step. [`Rule::measures`](crate::Rule::measures) gives it to the
/// driver; a rule that works element by element has none.
///
/// Before a step the [measuring kernel](crate::Rule::with_measuring_kernel) goes over all elements and [`sums`](Self::sums) are
/// taken of what it returns. [`settle`](Self::settle) makes the new numbers of them, which the state keeps and the step's kernel
/// is made with.
pub trait Measures {
    /// The sums that the numbers follow from; at most 4.
    fn sums(&self) -> &'static [Sum] {
        &[]
    }

    /// Returns which elements the sums go over.
    fn scope(&self) -> Scope {
        Scope::Tensor
    }

    /// Makes the new numbers from the old ones and from the sums. Where the sums go over several tensors, `step` is the largest
    /// of their step numbers.
    fn settle(&self, step: u64, sums: &[f64], scalars: &mut [f64]);
}

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

/// One of a rule's scalars; 0 where there are fewer.
pub(crate) fn scalar(scalars: &[f64], i: usize) -> f64 {
    scalars.get(i).copied().unwrap_or_default()
}
