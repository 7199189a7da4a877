//! What a host may have changed about the processor.

use core::hint::black_box;

/// Returns whether the calling thread takes subnormal numbers for zero, or makes them zero, which gives other bits than
/// everywhere else: x86's FTZ and DAZ in MXCSR, FZ in Arm's FPCR. Some hosts, audio software above all, set them for speed.
///
/// A conversion and a comparison: some processors take 50 ns for a multiplication or a subtraction that meets a subnormal, and
/// less than 1 ns for these (Emerald Rapids), so that every step can look.
pub(crate) fn flushes_subnormals() -> bool {
    let flushed_to_zero = (black_box(1e-40_f64) as f32).to_bits() == 0;
    let taken_for_zero = black_box(f32::from_bits(1)) <= black_box(0.0);
    flushed_to_zero || taken_for_zero
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_not_so_by_itself() {
        assert!(!super::flushes_subnormals());
    }
}
