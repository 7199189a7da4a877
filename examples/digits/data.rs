//! The digits: read from the packed table, and split into samples to train on and samples to test with.

use std::io::{BufRead as _, BufReader};

use flate2::read::GzDecoder;
use testkit::Random;

pub const PIXELS: usize = 64;
pub const DIGITS: usize = 10;

const TABLE: &[u8] = include_bytes!("../data/digits.csv.gz");
const BRIGHTEST: f32 = 16.0;
const TEST_SAMPLES: usize = 360;
const SPLIT_SEED: u64 = 1797;

#[derive(Debug, PartialEq)]
pub struct Sample {
    /// From 0 to 1.
    pub pixels: [f32; PIXELS],
    pub digit: usize,
}

pub struct Data {
    pub train: Vec<Sample>,
    pub test: Vec<Sample>,
}

impl Data {
    /// Always the same split, whatever seed the training has, so that accuracies can be compared.
    pub fn load() -> Self {
        let mut train = samples();
        Random(SPLIT_SEED).shuffle(&mut train);
        let test = train.split_off(train.len() - TEST_SAMPLES);
        Self { train, test }
    }
}

fn samples() -> Vec<Sample> {
    let lines = BufReader::new(GzDecoder::new(TABLE)).lines();
    lines.map(|line| sample(&line.expect("the table is valid gzip"))).collect()
}

fn sample(line: &str) -> Sample {
    let mut cells = line.split(',').map(|cell| cell.parse::<u8>().expect("the table has small numbers"));
    let mut next = || cells.next().expect("a row has 65 cells");
    let pixels = std::array::from_fn(|_| f32::from(next()) / BRIGHTEST);
    Sample { pixels, digit: next().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_pixels_and_a_digit() {
        let line = "0,4,8,16".to_owned() + &",0".repeat(60) + ",7";
        let Sample { pixels, digit } = sample(&line);
        assert_eq!(pixels[..5], [0.0, 0.25, 0.5, 1.0, 0.0]);
        assert_eq!(digit, 7);
    }

    #[test]
    fn the_split_has_every_sample_once() {
        let Data { train, test } = Data::load();
        assert_eq!((train.len(), test.len()), (1437, 360));
        let all = samples();
        assert!(all.iter().all(|sample| train.contains(sample) != test.contains(sample)));
    }

    #[test]
    fn both_parts_have_every_digit() {
        let Data { train, test } = Data::load();
        for digit in 0..DIGITS {
            assert!(train.iter().filter(|sample| sample.digit == digit).count() > 100);
            assert!(test.iter().filter(|sample| sample.digit == digit).count() > 20);
        }
    }
}
