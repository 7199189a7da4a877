//! Sharing a step among threads: one queue, from which each thread takes the next part when it is done with its last.

use std::sync::{Mutex, PoisonError};

use crate::{Join, Tensor};

/// Large tensors are cut at multiples of this many elements: a page of 4 KiB, so that no two threads write one cache
/// line, and the hardware's prefetchers, which stop at pages, lose nothing.
const CUT: usize = 1024;

/// No part is made smaller than this, in bytes of traffic: some 10 us of work, beside which a lock and a dispatch do
/// not show.
const SMALLEST: usize = 256 << 10;

/// Has all tensors worked on, on the threads of `join`.
pub(crate) fn share(join: &impl Join, tensors: &mut [Tensor<'_>], work: impl Fn(&mut [Tensor<'_>]) + Sync) {
    let queue = Mutex::new(Queue::new(tensors, join.threads()));
    let work_off = || {
        while let Some(part) = next(&queue) {
            match part {
                Part::Whole(tensors) => work(tensors),
                Part::Range(mut range) => work(core::slice::from_mut(&mut range)),
            }
        }
    };
    join.join(&work_off);
    // A pool may refuse work, or shut down: then the caller does it all.
    work_off();
}

/// The lock is held for a few instructions that can't panic; a rule's panic happens outside it.
fn next<'a, 'b>(queue: &Mutex<Queue<'a, 'b>>) -> Option<Part<'a, 'b>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// What one thread steps next.
enum Part<'a, 'b> {
    /// Several tensors, packed together.
    Whole(&'a mut [Tensor<'b>]),
    /// A range of a large one.
    Range(Tensor<'a>),
}

struct Queue<'a, 'b> {
    /// What is left of a large tensor.
    started: Option<Tensor<'a>>,
    tensors: &'a mut [Tensor<'b>],
    /// The bytes of both.
    bytes: usize,
    threads: usize,
}

impl<'a, 'b> Queue<'a, 'b> {
    fn new(tensors: &'a mut [Tensor<'b>], threads: usize) -> Self {
        let bytes = total_bytes(tensors);
        Self { started: None, tensors, bytes, threads }
    }

    fn next(&mut self) -> Option<Part<'a, 'b>> {
        let size = part_size(self.bytes, self.threads);
        let part = match self.started.take() {
            Some(tensor) => Part::Range(self.cut(tensor, size)),
            None => self.packed(size)?,
        };
        self.bytes = self.bytes.saturating_sub(part.bytes());
        Some(part)
    }

    /// As many tensors as fit; of one that is too large alone, its first range.
    fn packed(&mut self, size: usize) -> Option<Part<'a, 'b>> {
        let tensors = core::mem::take(&mut self.tensors);
        let fitting = count_fitting(tensors, size);
        if fitting > 0 {
            let (now, later) = tensors.split_at_mut(fitting);
            self.tensors = later;
            return Some(Part::Whole(now));
        }
        let (large, later) = tensors.split_first_mut()?;
        self.tensors = later;
        Some(Part::Range(self.cut(large.reborrow(), size)))
    }

    /// The first `size` bytes of `tensor`; the rest is kept for the next part.
    fn cut(&mut self, tensor: Tensor<'a>, size: usize) -> Tensor<'a> {
        let len = range_len(tensor.len(), tensor.bytes_per_element(), size);
        if len == tensor.len() {
            return tensor;
        }
        let (now, later) = tensor.split_at(len);
        self.started = Some(later);
        now
    }
}

impl Part<'_, '_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Whole(tensors) => total_bytes(tensors),
            Self::Range(range) => range.bytes(),
        }
    }
}

/// How many bytes the next part has. Parts become smaller towards the end, so that all threads end together: each is
/// half of what a thread would have to do if the rest were shared out evenly.
fn part_size(bytes_left: usize, threads: usize) -> usize {
    (bytes_left / threads.saturating_mul(2).max(1)).max(SMALLEST)
}

/// How many of `len` elements make a range of some `size` bytes. No rest of less than half a range is left.
fn range_len(len: usize, bytes_per_element: usize, size: usize) -> usize {
    let range = (size / bytes_per_element).next_multiple_of(CUT);
    if len <= range.saturating_add(range / 2) { len } else { range }
}

/// How many tensors from the first on have at most `size` bytes together.
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

    /// Cuts a tensor as the queue would, as numbers alone: no memory has to be there for it.
    fn cut(mut len: usize, bytes_per_element: usize, threads: usize) -> std::vec::Vec<usize> {
        let mut ranges = std::vec::Vec::new();
        while len > 0 {
            let size = part_size(len.saturating_mul(bytes_per_element), threads);
            let range = range_len(len, bytes_per_element, size);
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
                    assert!(whole.iter().all(|range| range % CUT == 0));
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
        assert_eq!(part_size(usize::MAX, usize::MAX), SMALLEST);
        assert_eq!(part_size(0, 0), SMALLEST);
    }
}
