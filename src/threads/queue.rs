//! Sharing a step among threads: one queue, from which each thread takes the next part when it is done with its last.

use std::{
    boxed::Box,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    tensor::{tensor::Tensor, view::View},
    threads::join::Join,
};

/// No part is made smaller than this, in bytes of traffic: some 10 us of work, beside which a lock and a dispatch do
/// not show.
const SMALLEST: usize = 256 << 10;

/// Has the threads of `join` work on all tensors.
///
/// A pool may refuse work, shut down or panic: then the caller does what is left, and the step is whole. What is passed on is
/// the panic of a rule, which leaves a part of the work half done.
pub(crate) fn share(join: &dyn Join, tensors: &mut [Tensor<'_>], work: &(dyn Fn(Job<'_, '_>) + Sync)) {
    let queue = Mutex::new(Queue::new(tensors, join.threads()));
    let unfinished = AtomicUsize::new(0);
    let take_parts = || {
        while let Some(part) = next(&queue) {
            unfinished.fetch_add(1, Ordering::Relaxed);
            work(part);
            unfinished.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let joined = catch_unwind(AssertUnwindSafe(|| join.join(&take_parts)));
    take_parts();
    if unfinished.into_inner() > 0 {
        resume_unwind(joined.err().unwrap_or_else(|| Box::new("a rule panicked on a thread of the pool")));
    }
}

/// The lock is held for a few instructions that can't panic; a rule's panic happens outside it.
fn next<'q, 't>(queue: &Mutex<Queue<'q, 't>>) -> Option<Job<'q, 't>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// What one thread works on next.
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few jobs a step, each on a stack, and no allocation in a step"
)]
pub(crate) enum Job<'q, 't> {
    /// Several tensors, packed together.
    Tensors(&'q mut [Tensor<'t>]),
    /// A range of a large one.
    Range(View<'q>),
}

struct Queue<'q, 't> {
    /// What is left of a large tensor.
    started: Option<View<'q>>,
    tensors: &'q mut [Tensor<'t>],
    /// The bytes of both.
    bytes: usize,
    threads: usize,
}

impl<'q, 't> Queue<'q, 't> {
    fn new(tensors: &'q mut [Tensor<'t>], threads: usize) -> Self {
        let bytes = total_bytes(tensors);
        Self { started: None, tensors, bytes, threads }
    }

    fn next(&mut self) -> Option<Job<'q, 't>> {
        let size = job_size(self.bytes, self.threads);
        let job = match self.started.take() {
            Some(range) => Job::Range(self.cut(range, size)),
            None => self.packed(size)?,
        };
        self.bytes = self.bytes.saturating_sub(job.bytes());
        Some(job)
    }

    /// As many tensors as fit; of one that is too large alone, its first range.
    fn packed(&mut self, size: usize) -> Option<Job<'q, 't>> {
        let tensors = core::mem::take(&mut self.tensors);
        let fitting = count_fitting(tensors, size);
        if fitting > 0 {
            let (now, later) = tensors.split_at_mut(fitting);
            self.tensors = later;
            return Some(Job::Tensors(now));
        }
        let (large, later) = tensors.split_first_mut()?;
        self.tensors = later;
        Some(Job::Range(self.cut(large.view(), size)))
    }

    /// The first `size` bytes of `range`; the rest is kept for the next job.
    fn cut(&mut self, range: View<'q>, size: usize) -> View<'q> {
        let len = range_len(range.len(), range.bytes_per_element(), range.granule(), size);
        if len == range.len() {
            return range;
        }
        let (now, later) = range.split_at(len);
        self.started = Some(later);
        now
    }
}

impl Job<'_, '_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Tensors(tensors) => total_bytes(tensors),
            Self::Range(range) => range.len().saturating_mul(range.bytes_per_element()),
        }
    }
}

/// Returns how many bytes the next job has. Jobs become smaller towards the end, so that all threads end together: each is
/// half of what a thread would have to do if the rest were shared out evenly.
fn job_size(bytes_left: usize, threads: usize) -> usize {
    (bytes_left / threads.saturating_mul(2).max(1)).max(SMALLEST)
}

/// Returns how many of `len` elements make a range of some `size` bytes. No rest of less than half a range is left.
fn range_len(len: usize, bytes_per_element: usize, granule: usize, size: usize) -> usize {
    let range = (size / bytes_per_element).max(1).checked_next_multiple_of(granule).unwrap_or(len);
    if len <= range.saturating_add(range / 2) { len } else { range }
}

/// Returns how many tensors from the first on have at most `size` bytes together.
fn count_fitting(tensors: &[Tensor<'_>], size: usize) -> usize {
    let mut room = size;
    let fits = |tensor: &&Tensor<'_>| match room.checked_sub(tensor.bytes()) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    };
    tensors.iter().take_while(fits).count()
}

pub(crate) fn total_bytes(tensors: &[Tensor<'_>]) -> usize {
    tensors.iter().fold(0, |sum, tensor| sum.saturating_add(tensor.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::blocks::BLOCK;

    /// Cuts a tensor as the queue would, as numbers alone: no memory has to be there for it.
    fn cut(mut len: usize, bytes_per_element: usize, threads: usize) -> std::vec::Vec<usize> {
        let mut ranges = std::vec::Vec::new();
        while len > 0 {
            let size = job_size(len.saturating_mul(bytes_per_element), threads);
            let range = range_len(len, bytes_per_element, BLOCK, size);
            ranges.push(range);
            len -= range;
        }
        ranges
    }

    #[test]
    fn ranges_cover_huge_tensors() {
        for len in [1, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 33) + 12_345] {
            for bytes_per_element in [12, 28, 76] {
                for threads in [1, 2, 3, 64] {
                    let ranges = cut(len, bytes_per_element, threads);
                    assert_eq!(ranges.iter().sum::<usize>(), len);
                    let (_, whole) = ranges.split_last().unwrap();
                    assert!(whole.iter().all(|range| range % BLOCK == 0));
                    assert!(ranges.len() < 100_000);
                }
            }
        }
    }

    #[test]
    fn parts_shrink_and_stay_large_enough() {
        let ranges = cut(1 << 24, 28, 2);
        assert!(ranges.is_sorted_by(|a, b| a >= b));
        assert!(ranges.iter().all(|range| range * 28 >= SMALLEST / 2));
        assert_eq!(job_size(usize::MAX, usize::MAX), SMALLEST);
        assert_eq!(job_size(0, 0), SMALLEST);
    }
}
