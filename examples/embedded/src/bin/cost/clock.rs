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

    /// How many instructions `work` takes, if below 16 million: it is done 40 times, so that a tick stands for one.
    pub fn instructions<E>(&self, mut work: impl FnMut() -> Result<(), E>) -> Result<u32, E> {
        let before = SYST::get_current();
        for _ in 0..INSTRUCTIONS_PER_TICK {
            work()?;
        }
        Ok(before.wrapping_sub(SYST::get_current()) % RANGE)
    }
}
