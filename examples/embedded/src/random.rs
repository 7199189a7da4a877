//! Random numbers that are the same on every machine.

use gradstep::splitmix64;

/// What it holds is the generator's state, the seed at first.
pub struct Random(pub u64);

impl Random {
    /// Uniform in [-1, 1).
    pub fn symmetric(&mut self) -> f32 {
        let signed24 = (splitmix64(&mut self.0) as i64 >> 40) as i32;
        signed24 as f32 / (1 << 23) as f32
    }
}
