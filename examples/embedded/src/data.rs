//! The digits, read from their table when the program is compiled.

pub const PIXELS: usize = 64;
pub const DIGITS: usize = 10;
pub const TRAIN: usize = 64;
pub const TEST: usize = 32;

pub struct Sample {
    pixels: [u8; PIXELS],
    pub digit: u8,
}

impl Sample {
    /// From 0 to 1.
    pub fn pixels(&self) -> [f32; PIXELS] {
        self.pixels.map(|pixel| f32::from(pixel) / 16.0)
    }
}

/// To learn from, and to test with.
pub fn digits() -> (&'static [Sample], &'static [Sample]) {
    static SAMPLES: [Sample; TRAIN + TEST] = parse(include_bytes!("../digits.csv"));
    const { SAMPLES.split_at(TRAIN) }
}

const fn parse<const N: usize>(table: &[u8]) -> [Sample; N] {
    let mut samples = [const { Sample { pixels: [0; PIXELS], digit: 0 } }; N];
    let (mut row, mut column, mut i) = (0, 0, 0);
    while i < table.len() {
        let sample = &mut samples[row];
        let cell = if column < PIXELS { &mut sample.pixels[column] } else { &mut sample.digit };
        match table[i] {
            b',' => column += 1,
            b'\n' => (row, column) = (row + 1, 0),
            digit => *cell = *cell * 10 + (digit - b'0'),
        }
        i += 1;
    }
    assert!(row == N);
    samples
}
