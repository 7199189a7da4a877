//! Measures how deep the stack gets: paints what is free of it, and looks afterwards what has been painted over. The
//! one file with `unsafe` in it.

use core::ptr;

use cortex_m::register::msp;

#[cfg(debug_assertions)]
compile_error!(
    "measure an optimised build: in others painting is done by calls, which need the stack themselves"
);

const PAINT: u32 = 0x5ca1_ab1e;

/// How many words below the stack pointer are painted: 256 KiB.
const DEPTH: usize = 1 << 16;

/// How many bytes of stack `work` takes, and what it returns.
#[inline(never)]
pub fn used<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let top = msp::read() as usize;
    let word = |depth: usize| ptr::with_exposed_provenance_mut::<u32>(top - 4 * depth);
    for depth in 1..=DEPTH {
        // SAFETY: the stack grows downwards in 4 MiB of RAM, of which static memory takes less than 1 MiB at the other
        // end. So the words below the stack pointer are RAM that nothing holds: optimised, this function calls nothing
        // here, and no interrupt is switched on. The pointer is aligned, as the stack pointer is.
        unsafe { word(depth).write_volatile(PAINT) };
    }
    let result = work();
    // SAFETY: as above.
    let untouched = |depth: &usize| unsafe { word(*depth).read_volatile() } == PAINT;
    let deepest = DEPTH - (1..=DEPTH).rev().take_while(untouched).count();
    (4 * deepest, result)
}
