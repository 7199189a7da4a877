//! What a pass promises of stored values holds after the last rounding: bounds and norms, of parameters and of copies, in every
//! format.

use gradstep::{Average, Error, FloatsMut, Format, Optimizer, Param, Pass, Sgd, Tensor, Workers};
use proptest::prelude::*;
use testkit::Random;

use crate::model::{FORMATS, Numbers, inward, round, widen};

const HALVES: [Format; 2] = [Format::Bf16, Format::F16];

fn step(pass: &Pass, tensor: Tensor<'_>) {
    let report = Workers::serial().step_pass(pass, &Sgd::torch(), 1, &mut [tensor]).unwrap();
    assert_eq!(report.stepped, 1);
}

/// What a pass leaves of these bits, if the rule changes nothing.
fn left_of_bits(pass: &Pass, format: Format, bits: &[u16]) -> Vec<u16> {
    let (mut params, grads) = (bits.to_vec(), vec![0.0_f32; bits.len()]);
    step(pass, Tensor::new(FloatsMut::Half(format, &mut params), &grads[..], []).unwrap());
    params
}

/// Ordinary bounds, zeros, subnormals, the ends of each format, infinities, and such as are beside numbers of 16 bits.
fn bounds() -> Vec<(f32, f32)> {
    let tiny = f32::from_bits(1);
    let mut bounds = vec![
        (-0.1, 0.1),
        (0.3, 0.7),
        (-0.7, -0.3),
        (0.0, 0.0),
        (-0.0, 0.0),
        (0.0, -0.0),
        (-tiny, tiny),
        (-1e-41, 3e-39),
        (-3e-8, 7e-8),
        (-6.2e-5, 6.2e-5),
        (f32::NEG_INFINITY, 0.1),
        (-0.1, f32::INFINITY),
        (f32::NEG_INFINITY, f32::INFINITY),
        (f32::MIN, f32::MAX),
        (-65_519.0, 65_519.0),
        (-65_504.0, 65_504.0),
        (-1e6, 1e6),
        (f32::NEG_INFINITY, -65_504.0),
    ];
    for code in [0x0001, 0x0080, 0x03ff, 0x0400, 0x3c00, 0x3f80, 0x3f81, 0x7bff] {
        for format in HALVES {
            let x = widen(format, code);
            bounds.extend([(-x.next_up(), x.next_down()), (-x.next_down(), x.next_up()), (-x, x), (x, x)]);
        }
    }
    bounds
}

#[test]
fn bounds_hold_for_every_16_bit_parameter() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for (format, (low, high)) in
        HALVES.iter().flat_map(|&format| bounds().into_iter().map(move |b| (format, b)))
    {
        let pass = Pass::new().bounds(low, high).unwrap();
        let (lowest, highest) = inward((low, high), Some(format));
        if lowest > highest {
            continue; // It is refused, which is a test of its own.
        }
        for (&from, to) in all.iter().zip(left_of_bits(&pass, format, &all)) {
            let (from, to) = (widen(format, from), widen(format, to));
            let label = format!("{from:e} in {format} between {low:e} and {high:e} is {to:e}");
            assert_eq!(to.is_nan(), from.is_nan(), "{label}");
            assert!(to.is_nan() || low <= to && to <= high, "{label}");
            let expected = if from < lowest {
                lowest
            } else if from > highest {
                highest
            } else {
                from
            };
            assert!(to.is_nan() || to == expected, "{label}");
        }
    }
}

/// Around every number of 16 bits, and around the bounds themselves.
fn singles(format: Format, (low, high): (f32, f32)) -> Vec<f32> {
    let around = |x: f32| [x.next_down(), x, x.next_up()];
    let halves = (0..=u16::MAX).step_by(7).map(|code| widen(format, code));
    halves.chain([low, high]).flat_map(around).collect()
}

#[test]
fn bounds_hold_for_every_copy_in_16_bits() {
    for (format, (low, high)) in
        HALVES.iter().flat_map(|&format| bounds().into_iter().map(move |b| (format, b)))
    {
        let pass = Pass::new().bounds(low, high).unwrap();
        let (lowest, highest) = inward((low, high), Some(format));
        if lowest > highest {
            continue;
        }
        let mut params = singles(format, (low, high));
        let (grads, mut copy) = (vec![0.0_f32; params.len()], vec![0; params.len()]);
        let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap();
        step(&pass, tensor.copy_out(FloatsMut::Half(format, &mut copy)));
        for (&p, copy) in params.iter().zip(copy) {
            let copy = widen(format, copy);
            let label = format!("{p:e} between {low:e} and {high:e} is copied as {copy:e} in {format}");
            assert!(p.is_nan() && copy.is_nan() || low <= copy && copy <= high, "{label}");
            let nearest = widen(format, round(format, p)).clamp(lowest, highest);
            assert!(p.is_nan() || copy == nearest, "{label}");
        }
    }
}

#[test]
fn the_nearest_number_inside_of_bounds_is_stored() {
    let pass = Pass::new().bounds(-0.1, 0.1).unwrap();
    let left = left_of_bits(&pass, Format::Bf16, &[0.5, -0.5].map(|x| round(Format::Bf16, x)));
    assert_eq!(
        left.iter().map(|&bits| widen(Format::Bf16, bits)).collect::<Vec<_>>(),
        [0.099_609_375, -0.099_609_375]
    );
}

#[test]
fn bounds_without_a_number_of_the_format_are_refused() {
    let pass = |low, high| Pass::new().bounds(low, high).unwrap();
    for (low, high, formats) in [
        (1.001, 1.002, &HALVES[..1]),
        (1.0001, 1.0002, &HALVES),
        (-1.0002, -1.0001, &HALVES),
        (1e-8, 5e-8, &HALVES[1..]),
        (70_000.0, 1e6, &HALVES[1..]),
        (70_000.0, f32::INFINITY, &HALVES[1..]),
        (f32::NEG_INFINITY, -70_000.0, &HALVES[1..]),
        (f32::MAX, f32::INFINITY, &HALVES),
    ] {
        for &format in formats {
            let (mut params, mut single, mut copy) = ([1; 1], [1.0_f32], [7; 1]);
            let grads = [0.5_f32];
            let refused = |tensor| {
                let empty = Tensor::new(&mut [][..] as &mut [f32], &[][..] as &[f32], []).unwrap();
                let mut list = [empty, tensor];
                match Workers::serial().step_pass(&pass(low, high), &Sgd::torch(), 1, &mut list) {
                    Err(Error::FormatBounds { tensor, slice, format: of, low: from, high: to }) => {
                        assert_eq!((tensor.as_str(), of, from, to), ("#1", format, low, high));
                        slice
                    }
                    other => panic!("{format} between {low:e} and {high:e}: {other:?}"),
                }
            };
            let tensor = Tensor::new(FloatsMut::Half(format, &mut params), &grads[..], []).unwrap();
            assert_eq!(refused(tensor), "params");
            let tensor = Tensor::new(&mut single[..], &grads[..], []).unwrap();
            assert_eq!(refused(tensor.copy_out(FloatsMut::Half(format, &mut copy))), "copy_out");
            assert_eq!((params, single, copy), ([1], [1.0], [7]), "nothing has changed");
        }
    }
}

#[test]
fn a_refusal_of_bounds_names_parameter_and_format() {
    let mut optimizer = Optimizer::new(Sgd::torch()).unwrap();
    let id = optimizer.register("decoder.norm", 1).unwrap();
    let (mut params, grads) = (Numbers::new(Some(Format::Bf16), &[1.0]), [0.5_f32]);
    let tensor = Tensor::new(params.write(), &grads[..], []).unwrap();
    let pass = Pass::new().bounds(1.001, 1.002).unwrap();
    let refused = optimizer.step_pass(&Workers::serial(), &pass, &mut [Param { id, tensor }]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "tensor \"decoder.norm\": params are bf16, with no number between 1.001 and 1.002"
    );
}

/// The average that takes the parameters' place was begun without bounds.
#[test]
fn bounds_hold_for_an_average_that_takes_the_parameters_place() {
    let kept = Average::exponential(0.9).unwrap().overwrite_every(2);
    let pass = Pass::new().bounds(-0.1, 0.1).unwrap().average(kept);
    for format in FORMATS {
        let mut params = Numbers::new(format, &[0.05, -0.05]);
        let (grads, mut average) = ([0.0_f32; 2], [5.0_f32, -5.0]);
        let mut copy = Numbers::new(Some(Format::F16), &[0.0; 2]);
        let tensor = Tensor::new(params.write(), &grads[..], []).unwrap();
        let mut averaged = 1;
        let mut list = [tensor.average(&mut average, &mut averaged).copy_out(copy.write())];
        let report = Workers::serial().step_pass(&pass, &Sgd::torch(), 2, &mut list).unwrap();
        assert_eq!(report.stepped, 1);
        let highest = inward((-0.1, 0.1), format).1;
        assert_eq!(params.values(), [highest, -highest]);
        // A number of the other format that lies between the bounds as well is copied as it is.
        let highest = highest.min(inward((-0.1, 0.1), Some(Format::F16)).1);
        assert_eq!(copy.values(), [highest, -highest]);
        assert!(average[0] > 4.0, "the average itself stays what it is");
    }
}

/// `x` as a sum of two numbers, `a*a` without error.
fn square(a: f64) -> (f64, f64) {
    (a * a, a.mul_add(a, -(a * a)))
}

/// Whether the norm is at most `max`, with twice the digits of an `f64`.
fn is_within(row: &[f32], max: f64) -> bool {
    let scale = 2.0_f64.powi(if max < 1e-100 { 600 } else { 0 });
    let (limit, limit_rest) = square(max * scale);
    let (mut sum, mut rest) = (-limit, -limit_rest);
    for &x in row {
        let (term, term_rest) = square(f64::from(x) * scale);
        let total = sum + term;
        let seen = total - sum;
        rest += (sum - (total - seen)) + (term - seen) + term_rest;
        sum = total;
    }
    sum + rest <= 0.0
}

fn norm(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// Rows of a size, with some elements far below it, zeros among them.
fn rows(random: &mut Random, len: usize, size: f32) -> Vec<f32> {
    let element = |random: &mut Random| {
        let part = [1.0, 1.0, 1e-3, 1e-7, 0.0][random.below(5)];
        random.signed() * part * size
    };
    (0..len).map(|_| element(random)).collect()
}

/// Sizes from one end of `f32` to the other.
fn any_size(random: &mut Random) -> f32 {
    [1.0, 1.0, 1.0, 30.0, 1e-3, 1e-5, 1e-7, 1e-20, 1e-38, 1e-42, 1e20, 3e38][random.below(12)]
}

/// How much smaller a number becomes at most by rounding towards zero, relatively and absolutely.
fn rounding(format: Option<Format>) -> (f64, f64) {
    match format {
        None => (2.0_f64.powi(-23), 2.0_f64.powi(-149)),
        Some(Format::Bf16) => (2.0_f64.powi(-7), 2.0_f64.powi(-133)),
        Some(Format::F16) => (2.0_f64.powi(-10), 2.0_f64.powi(-24)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_norm_of_a_stored_row_is_at_most_max(seed: u64) {
        let random = &mut Random(seed);
        let (format, copied) = (FORMATS[random.below(3)], FORMATS[random.below(3)]);
        let (row_len, count) = (1 + random.below(40), 1 + random.below(5));
        let size = any_size(random);
        let max = f64::from(size) * [0.01, 0.5, 1.0, 2.0 * random.unit() + 1e-3][random.below(4)];
        let start = rows(random, row_len * count, size);
        let mut params = Numbers::new(format, &start);
        let before = params.values();
        let mut copy = Numbers::new(copied, &before);
        let pass = Pass::new().max_norm(max).unwrap();
        let limit = |params: &mut Numbers, copy: &mut Numbers| {
            let grads = vec![0.0_f32; row_len * count];
            let tensor = Tensor::new(params.write(), &grads[..], []).unwrap();
            step(&pass, tensor.rows(count).copy_out(copy.write()));
        };
        limit(&mut params, &mut copy);

        let (relative, absolute) = rounding(format);
        let (stored, copies) = (params.values(), copy.values());
        for ((row, copy), before) in stored.chunks(row_len).zip(copies.chunks(row_len)).zip(before.chunks(row_len)) {
            if before.iter().any(|x| x.is_infinite()) {
                continue; // 3e38 is one in f16, and a row with an infinity has no direction.
            }
            prop_assert!(is_within(row, max), "{:e} of {:?} is above {:e}", norm(row), before, max);
            prop_assert!(is_within(copy, max), "{:e}, the copy of {:?}, is above {:e}", norm(copy), row, max);
            // No smaller than it has to be, and every element in its direction.
            let factor = if norm(before) > max { max / norm(before) } else { 1.0 };
            for (&x, &p) in row.iter().zip(before) {
                let exact = f64::from(p) * factor;
                prop_assert!((f64::from(x) - exact).abs() <= (relative + 1e-12) * exact.abs() + absolute);
            }
        }
        let again = params.clone();
        limit(&mut params, &mut copy);
        prop_assert_eq!(params.bits(), again.bits(), "what is within stays");
    }
}

#[test]
fn the_norm_holds_for_an_average_that_takes_the_parameters_place() {
    let kept = Average::exponential(0.9).unwrap().overwrite_every(1);
    for format in FORMATS {
        let pass = Pass::new().max_norm(1.0).unwrap().average(kept).bounds(-0.7, 1.0).unwrap();
        let mut params = Numbers::new(format, &[0.1, 0.2, 0.3, 0.4]);
        let (grads, mut average) = ([0.0_f32; 4], [3.0_f32, -7.0, 0.3, 0.3]);
        let mut copy = Numbers::new(Some(Format::Bf16), &[0.0; 4]);
        let tensor = Tensor::new(params.write(), &grads[..], []).unwrap();
        let mut averaged = 1;
        let mut list = [tensor.rows(2).average(&mut average, &mut averaged).copy_out(copy.write())];
        let report = Workers::serial().step_pass(&pass, &Sgd::torch(), 2, &mut list).unwrap();
        assert_eq!(report.stepped, 1);
        let values = params.values();
        assert!(values.chunks(2).all(|row| is_within(row, 1.0)), "{values:?}");
        assert!(norm(&values[..2]) > 0.7 && values[1] >= -0.7);
        let copies = copy.values();
        assert!(copies.chunks(2).all(|row| is_within(row, 1.0)), "{copies:?}");
    }
}

/// A copy in 16 bits of parameters in other 16 bits is of what is stored, not of what was rounded to it.
#[test]
fn a_copy_is_of_the_stored_parameters() {
    let pass = Pass::new().average(Average::exponential(0.5).unwrap().overwrite_every(1));
    let (mut params, grads) = (Numbers::new(Some(Format::Bf16), &[1.0]), [0.0_f32]);
    let (mut average, mut copy) = ([1.01_f32], [0.0_f32]);
    let tensor = Tensor::new(params.write(), &grads[..], []).unwrap();
    let mut averaged = 1;
    let mut list = [tensor.average(&mut average, &mut averaged).copy_out(&mut copy[..])];
    let report = Workers::serial().step_pass(&pass, &Sgd::torch(), 2, &mut list).unwrap();
    assert_eq!(report.stepped, 1);
    assert_eq!(copy[..], params.values());
    assert_ne!(copy, average);
}
