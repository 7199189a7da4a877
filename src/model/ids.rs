//! The numbers of parameters and groups, which know the optimizer that gave them out.

#[cfg(target_has_atomic = "ptr")]
use core::sync::atomic::{AtomicUsize, Ordering};

/// A registered parameter of one optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId {
    pub(super) owner: Owner,
    pub(super) place: usize,
}

/// A group of one optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    pub(super) owner: Owner,
    pub(super) place: usize,
}

impl GroupId {
    /// The group that each optimizer has from the start.
    pub const FIRST: Self = Self { owner: Owner(0), place: 0 };
}

/// Which optimizer gave out a number; 0 for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Owner(usize);

#[cfg(target_has_atomic = "ptr")]
static NEXT: AtomicUsize = AtomicUsize::new(1);

impl Owner {
    #[cfg(target_has_atomic = "ptr")]
    pub(super) fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Without atomics optimizers can't be told from each other.
    #[cfg(not(target_has_atomic = "ptr"))]
    pub(super) fn new() -> Self {
        Self(0)
    }

    pub(super) fn gave_out(self, owner: Self) -> bool {
        owner.0 == 0 || owner == self
    }
}
