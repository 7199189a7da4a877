//! A value that several threads add to: behind a lock where there are threads, a plain cell where there are none.

#[cfg(not(feature = "std"))]
use core::cell::Cell;
use core::fmt;
#[cfg(feature = "std")]
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "std")]
#[derive(Default)]
pub(crate) struct Shared<T>(Mutex<T>);

#[cfg(not(feature = "std"))]
#[derive(Default)]
pub(crate) struct Shared<T>(Cell<T>);

impl<T: Copy> Shared<T> {
    pub(crate) fn get(&self) -> T {
        self.update(|value| *value)
    }

    pub(crate) fn set(&self, new: T) {
        self.update(|value| *value = new);
    }

    /// A holder of the lock only adds numbers, so that a panic elsewhere leaves nothing half done.
    #[cfg(feature = "std")]
    pub(crate) fn update<U>(&self, change: impl FnOnce(&mut T) -> U) -> U {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(not(feature = "std"))]
    pub(crate) fn update<U>(&self, change: impl FnOnce(&mut T) -> U) -> U {
        let mut value = self.0.get();
        let answer = change(&mut value);
        self.0.set(value);
        answer
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
