//! Asking for memory ahead of its use.

/// How far ahead, in bytes. Half a page: the processor's own prefetcher stops at a page's end, and farther ahead lines
/// of several streams push each other out.
const AHEAD: usize = 2048;

/// A cache line.
const LINE: usize = 64;

/// Called for every `i` of a loop over `chunks`, asks for a cache line once, some time before the loop comes to it.
#[inline(always)]
pub(crate) fn prefetch<T>(chunks: &[T], i: usize) {
    let line_starts = size_of::<T>() <= LINE && i.is_multiple_of(LINE / size_of::<T>());
    if line_starts && let Some(chunk) = chunks.get(i + AHEAD / size_of::<T>()) {
        fetch(chunk);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fetch<T>(chunk: &T) {
    safe_arch::prefetch_t0(chunk);
}

/// Where there is no safe function for it, the processor does what it does of itself.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn fetch<T>(_: &T) {}
