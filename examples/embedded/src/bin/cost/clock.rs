//! Counts instructions, on QEMU.

use cortex_m::peripheral::{SYST, syst::SystClkSource};

/// The system timer counts down 24 bits.
const RANGE: u32 = 1 << 24;

/// It runs at 25 MHz, and with `-icount shift=0` QEMU takes 1 ns for each instruction.
const INSTRUCTIONS_PER_TICK: u32 = 40;

pub struct Clock(SYST);

impl Clock {
    pub fn new(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RANGE - 1);
        timer.clear_current();
        timer.enable_counter();
        Self(timer)
    }

    /// How many instructions `work` takes, in steps of 40 and below 670 million, and what it returns.
    pub fn instructions<T>(&self, work: impl FnOnce() -> T) -> (u32, T) {
        let before = SYST::get_current();
        let result = work();
        let ticks = before.wrapping_sub(SYST::get_current()) % RANGE;
        (ticks * INSTRUCTIONS_PER_TICK, result)
    }
}
