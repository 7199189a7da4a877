//! What the training runs draw.

use gradstep::splitmix64;

/// What it holds is the generator's state, the seed at first.
pub struct Random(pub u64);

impl Random {
    /// A number of so many random bits, at most 32.
    pub fn bits(&mut self, count: u32) -> u32 {
        (splitmix64(&mut self.0) >> (64 - count)) as u32
    }

    /// Uniform in [-1, 1).
    pub fn signed(&mut self) -> f32 {
        let signed24 = self.bits(24) as i32 - (1 << 23);
        signed24 as f32 / (1 << 23) as f32
    }

    /// Any of the floats with this exponent, of either sign; 0 is the subnormals' and that of zero, 127 that of 1.
    pub fn with_exponent(&mut self, exponent: u32) -> f32 {
        f32::from_bits(self.bits(1) << 31 | exponent << 23 | self.bits(23))
    }

    /// Zero of either sign.
    pub fn zero(&mut self) -> f32 {
        f32::from_bits(self.bits(1) << 31)
    }
}
