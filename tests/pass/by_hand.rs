//! Each part alone, on numbers that can be checked by hand, and where two parts meet: in which order they come.

use gradstep::{
    Average, Floats, FloatsMut, Format, Grads, Momentum, NonFinite, Optimizer, Param, Pass, PassReport, Sgd,
    Tensor, Workers,
};
use half::{bf16, f16};

use crate::model::Numbers;

/// Descends by the gradient itself.
fn sgd() -> Sgd {
    Sgd::torch().lr(1.0).unwrap()
}

fn step(pass: &Pass, tensors: &mut [Tensor<'_>]) -> PassReport {
    Workers::serial().step_pass(pass, &sgd(), 1, tensors).unwrap()
}

/// Steps a tensor beside one of a single zero that has a row, because a pass that goes by rows wants one in the list.
fn step_beside_a_row(pass: &Pass, params: &mut [f32], grads: &[f32], rows: Option<usize>) {
    let mut zero = [0.0_f32];
    let tensor = Tensor::new(params, grads, []).unwrap();
    let tensor = rows.into_iter().fold(tensor, Tensor::rows);
    let row = Tensor::new(&mut zero[..], &[0.0_f32][..], []).unwrap().rows(1);
    assert_eq!(step(pass, &mut [tensor, row]).stepped, 2);
}

/// What the rule sees of a gradient: the parameters start at zero, and go down by it.
fn seen(pass: &Pass, grads: &[f32], rows: Option<usize>) -> Vec<f32> {
    let mut params = vec![0.0_f32; grads.len()];
    step_beside_a_row(pass, &mut params, grads, rows);
    params.iter().map(|p| -p).collect()
}

/// The parameters after a step at which nothing changes them but the pass.
fn left(pass: &Pass, params: &[f32], rows: Option<usize>) -> Vec<f32> {
    let mut params = params.to_vec();
    let grads = vec![0.0_f32; params.len()];
    step_beside_a_row(pass, &mut params, &grads, rows);
    params
}

#[test]
fn the_loss_scale_is_taken_out() {
    let pass = Pass::new().loss_scale(4.0).unwrap();
    assert_eq!(seen(&pass, &[2.0, -6.0], None), [0.5, -1.5]);
}

#[test]
fn micro_batches_are_added_up_and_their_mean_is_a_loss_scale() {
    let first = Numbers::new(Some(Format::F16), &[1.0, 2.0]);
    let (second, third) = ([3.0, 4.0], Numbers::new(Some(Format::Bf16), &[0.5, -2.0]));
    let more = [Floats::from(&second[..]), third.read()];
    for (scale, expected) in [(1.0, [-4.5, -4.0]), (2.0, [-2.25, -2.0])] {
        let mut params = [0.0_f32; 2];
        let tensor = Tensor::new(&mut params[..], Grads::Read(first.read()), []).unwrap().more_grads(&more);
        let _ = step(&Pass::new().loss_scale(scale).unwrap(), &mut [tensor]);
        assert_eq!(params, expected);
    }
}

#[test]
fn rows_are_centered() {
    let pass = Pass::new().centralize();
    assert_eq!(seen(&pass, &[1.0, 3.0, 10.0, 20.0], Some(2)), [-1.0, 1.0, -5.0, 5.0]);
    assert_eq!(seen(&pass, &[1.0, 3.0, 10.0, 20.0], Some(4)), [0.0; 4]);
    assert_eq!(seen(&pass, &[1.0, 3.0], None), [1.0, 3.0], "for tensors with rows");
}

#[test]
fn elements_are_clipped() {
    let pass = Pass::new().clip_value(1.5).unwrap();
    assert_eq!(seen(&pass, &[5.0, -5.0, 0.5, -1.5], None), [1.5, -1.5, 0.5, -1.5]);
    assert!(seen(&pass, &[f32::NAN], None)[0].is_nan());
    assert_eq!(seen(&pass, &[f32::NEG_INFINITY], None), [-1.5]);
}

/// What a norm of `norm` is clipped to `max` by, in the precision of a gradient.
fn factor(max: f64, norm: f64) -> f32 {
    (max / norm) as f32
}

#[test]
fn each_tensor_is_clipped_by_its_norm() {
    let pass = Pass::new().clip_tensor_norm(2.0).unwrap();
    let by = factor(2.0, 5.0 + 1e-6);
    assert_eq!(seen(&pass, &[3.0, 4.0], None), [3.0 * by, 4.0 * by]);
    assert_eq!(seen(&pass, &[1.0, 1.0], None), [1.0, 1.0]);
    assert_eq!(seen(&pass, &[0.0, 0.0], None), [0.0, 0.0]);
    let exact = pass.clip_eps(0.0).unwrap();
    assert_eq!(seen(&exact, &[3.0, 4.0], None), [3.0 * 0.4_f32, 4.0 * 0.4]);
    assert_eq!(seen(&exact, &[0.0, 2.0], None), [0.0, 2.0]);
    assert_eq!(seen(&exact, &[0.0, 0.0], None), [0.0, 0.0]);
}

#[test]
fn all_tensors_are_clipped_by_their_common_norm() {
    let pass = Pass::new().clip_global_norm(1.0).unwrap().clip_eps(0.0).unwrap();
    let (mut a, mut b) = ([0.0_f32; 1], [0.0_f32; 2]);
    let (grads_a, grads_b) = ([3.0_f32], [0.0_f32, 4.0]);
    let mut tensors = [
        Tensor::new(&mut a[..], &grads_a[..], []).unwrap(),
        Tensor::new(&mut b[..], &grads_b[..], []).unwrap(),
    ];
    let report = step(&pass, &mut tensors);
    assert_eq!(report.grad_norm, Some(5.0));
    assert_eq!(tensors.map(|tensor| tensor.sums().norm()), [3.0, 4.0]);
    assert_eq!((a, b), ([-3.0 * 0.2_f32], [0.0, -4.0 * 0.2_f32]));
}

#[test]
fn gradients_are_clipped_by_their_parameters() {
    let pass = Pass::new().clip_adaptive(0.1, 0.5).unwrap();
    let run = |rows: Option<usize>| {
        // Rows with norms 5, 0 and 5, whose gradients have norms 10, 1 and 0.25.
        let mut params = [3.0_f32, 4.0, 0.0, 0.0, 3.0, 4.0];
        let grads = [6.0_f32, 8.0, 0.0, 1.0, 0.25, 0.0];
        let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap();
        let _ = step(&pass, &mut [rows.into_iter().fold(tensor, Tensor::rows)]);
        params
    };
    let by = 0.05_f32;
    assert_eq!(run(Some(3)), [3.0 - 6.0 * by, 4.0 - 8.0 * by, 0.0, -by, 3.0 - 0.25, 4.0]);
    let by = factor(0.1 * 50.0_f64.sqrt(), 101.0625_f64.sqrt());
    assert_eq!(run(None), [3.0 - 6.0 * by, 4.0 - 8.0 * by, 0.0, -by, 3.0 - 0.25 * by, 4.0]);
}

#[test]
fn subnormal_state_becomes_zero() {
    let run = |pass: Pass| {
        let (mut params, grads) = ([0.0_f32; 3], [0.0_f32; 3]);
        let mut momentum = [1.2e-38, -1.2e-38, 1.0];
        let tensor = Tensor::new(&mut params[..], &grads[..], [&mut momentum[..]]).unwrap();
        let rule = Momentum::torch().momentum(0.5).unwrap();
        let _ = Workers::serial().step_pass(&pass, &rule, 2, &mut [tensor]).unwrap();
        momentum
    };
    assert_eq!(run(Pass::new()), [0.6e-38, -0.6e-38, 0.5]);
    assert_eq!(run(Pass::new().flush_subnormals()), [0.0, 0.0, 0.5]);
}

#[test]
fn the_norm_of_rows_is_limited() {
    let pass = Pass::new().max_norm(1.0).unwrap();
    let params = [3.0, 4.0, 0.6, 0.0, 0.0, 0.0];
    // 0.6 and 0.8 are no `f32`: the next ones towards zero.
    let below = [0.6_f32.next_down(), 0.8_f32.next_down()];
    assert!(f64::from(below[0]) < 0.6 && f64::from(below[1]) < 0.8);
    assert_eq!(left(&pass, &params, Some(3)), [below[0], below[1], 0.6, 0.0, 0.0, 0.0]);
    assert_eq!(left(&pass, &params, None), params, "for tensors with rows");
}

#[test]
fn parameters_stay_within_their_bounds() {
    let pass = Pass::new().bounds(-0.5, 0.25).unwrap();
    assert_eq!(left(&pass, &[1.0, -1.0, 0.25, 0.0], None), [0.25, -0.5, 0.25, 0.0]);
    assert!(left(&pass, &[f32::NAN], None)[0].is_nan());
}

#[test]
fn adaptive_clipping_makes_no_row_of_a_tensor_without_rows() {
    let pass = Pass::new().clip_adaptive(1.0, 100.0).unwrap();
    assert_eq!(seen(&pass.centralize(), &[1.0, 3.0], None), [1.0, 3.0]);
    assert_eq!(left(&pass.max_norm(1.0).unwrap(), &[3.0, 4.0], None), [3.0, 4.0]);
}

/// The first comes before the second: unscaling before the values are clipped, and so on.
#[test]
fn parts_have_their_order() {
    let pass = Pass::new().clip_value(1.0).unwrap().loss_scale(4.0).unwrap();
    assert_eq!(seen(&pass, &[8.0, 2.0], None), [1.0, 0.5]);
    let pass = Pass::new().clip_value(1.0).unwrap().centralize();
    assert_eq!(seen(&pass, &[0.0, 4.0], Some(1)), [-1.0, 1.0]);
    let pass = Pass::new().clip_tensor_norm(1.0).unwrap().clip_eps(0.0).unwrap().clip_value(2.0).unwrap();
    assert_eq!(seen(&pass, &[8.0, 0.0], None), [1.0, 0.0]);
    let pass = Pass::new().clip_adaptive(1.0, 0.5).unwrap().clip_value(2.0).unwrap();
    assert_eq!(seen(&pass, &[8.0, 0.0], None), [0.5, 0.0]);
    let pass = Pass::new().bounds(-1.0, 1.0).unwrap().max_norm(2.0).unwrap();
    assert_eq!(left(&pass, &[0.0, 4.0], Some(1)), [0.0, 1.0]);
}

/// What is in the storage after a step from `start` by `-change`.
fn stored(format: Format, start: u16, change: f32) -> u16 {
    let (mut params, grads) = ([start], [-change]);
    let tensor = Tensor::new(FloatsMut::Half(format, &mut params), &grads[..], []).unwrap();
    let _ = step(&Pass::new(), &mut [tensor]);
    params[0]
}

#[test]
fn parameters_of_16_bits_are_rounded_to_nearest_even() {
    // Half a unit in the last place of 1 is 2^-8 in bf16 and 2^-11 in f16.
    let (one_bf16, one_f16) = (bf16::ONE.to_bits(), f16::ONE.to_bits());
    for (format, one, half_unit) in
        [(Format::Bf16, one_bf16, 2.0_f32.powi(-8)), (Format::F16, one_f16, 2.0_f32.powi(-11))]
    {
        assert_eq!(stored(format, one, half_unit), one);
        assert_eq!(stored(format, one, 1.01 * half_unit), one + 1);
        assert_eq!(stored(format, one + 1, half_unit), one + 2);
    }
    assert_eq!(stored(Format::F16, one_f16, 1e6), f16::INFINITY.to_bits());
}

#[test]
fn parameters_are_copied_out_and_gradients_zeroed() {
    let (mut params, mut grads) = ([1.0_f32, 2.0], Numbers::new(Some(Format::Bf16), &[-0.5, 1.0]));
    let mut copy = Numbers::new(Some(Format::F16), &[0.0; 2]);
    let tensor = Tensor::new(&mut params[..], Grads::Write(grads.write()), []).unwrap();
    let _ = step(&Pass::new().zero_grads(), &mut [tensor.copy_out(copy.write())]);
    assert_eq!(params, [1.5, 1.0]);
    assert_eq!(copy.values(), params);
    assert_eq!(grads.bits(), [0; 2]);
}

/// A parameter that is as large as the number of the step, if nothing overwrites it, and its average, step by step.
fn averages(average: Average, steps: u64) -> (Vec<f32>, Vec<f32>) {
    let pass = Pass::new().average(average);
    let (mut p, grads, mut average, mut averaged) = ([0.0_f32], [-1.0_f32], [f32::NAN], 0);
    let mut step = |t| {
        let tensor = Tensor::new(&mut p[..], &grads[..], []).unwrap();
        let tensor = tensor.average(&mut average, &mut averaged);
        let _ = Workers::serial().step_pass(&pass, &sgd(), t, &mut [tensor]).unwrap();
        (p[0], average[0])
    };
    (1..=steps).map(&mut step).unzip()
}

fn averages_of_counting(average: Average, steps: u64) -> Vec<f32> {
    let (params, averages) = averages(average, steps);
    assert!(params.into_iter().eq((1..=steps).map(|t| t as f32)));
    averages
}

fn half_decay() -> Average {
    Average::exponential(0.5).unwrap()
}

#[test]
fn averages_are_exponential_or_means() {
    assert_eq!(averages_of_counting(half_decay(), 4), [1.0, 1.5, 2.25, 3.125]);
    assert_eq!(averages_of_counting(Average::exponential(0.0).unwrap(), 3), [1.0, 2.0, 3.0]);
    let third = 1.5 + 1.5 * (1.0_f32 / 3.0);
    assert_eq!(averages_of_counting(Average::mean(), 4), [1.0, 1.5, third, 2.5]);
}

#[test]
fn averages_begin_late_and_may_pause() {
    assert_eq!(averages_of_counting(Average::mean().from_step(3), 4), [1.0, 2.0, 3.0, 3.5]);
    assert_eq!(averages_of_counting(Average::mean().every(2), 4), [1.0, 1.0, 2.0, 2.0]);
    let both = half_decay().from_step(2).every(3);
    assert_eq!(averages_of_counting(both, 8), [1.0, 2.0, 2.0, 2.0, 3.5, 3.5, 3.5, 5.75]);
    for nothing in [half_decay().from_step(0), half_decay().every(0), half_decay().overwrite_every(0)] {
        assert_eq!(nothing, half_decay());
    }
}

#[test]
fn averages_take_the_parameters_place() {
    let (params, averages) = averages(half_decay().overwrite_every(2), 4);
    assert_eq!(params, [1.0, 1.5, 2.5, 2.75]);
    assert_eq!(averages, [1.0, 1.5, 2.0, 2.75]);
}

/// At step 6 the average stays as it is, and is put in the parameter's place all the same.
#[test]
fn averages_take_the_parameters_place_when_they_pause() {
    let average = half_decay().every(2).overwrite_every(3);
    let (params, averages) = self::averages(average, 6);
    assert_eq!(averages, [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    assert_eq!(params, [1.0, 2.0, 2.0, 3.0, 4.0, 3.0]);
}

#[test]
fn averages_and_copies_are_of_the_bounded_parameters() {
    let pass = Pass::new().bounds(0.0, 1.0).unwrap().average(Average::mean());
    let (mut params, grads) = ([0.0_f32], [-5.0_f32]);
    let (mut average, mut copy) = ([0.0_f32], Numbers::new(Some(Format::Bf16), &[0.0]));
    let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap();
    let _ = step(&pass, &mut [tensor.average(&mut average, &mut 0).copy_out(copy.write())]);
    assert_eq!((params, average, &copy.values()[..]), ([1.0], [1.0], &[1.0][..]));
}

#[test]
fn groups_are_clipped_together() {
    let mut optimizer = Optimizer::new(sgd()).unwrap();
    let fast = optimizer.add_group(Sgd::torch().lr(2.0).unwrap()).unwrap();
    let ids = [optimizer.register_in(fast, "a", 1).unwrap(), optimizer.register("b", 1).unwrap()];
    optimizer.register("left out", 7).unwrap();
    let pass = Pass::new().clip_global_norm(1.0).unwrap().clip_eps(0.0).unwrap();
    let (mut a, mut b) = ([0.0_f32], [0.0_f32]);
    let mut list = [(ids[1], &mut b, &[4.0_f32]), (ids[0], &mut a, &[3.0_f32])]
        .map(|(id, p, g)| Param { id, tensor: Tensor::new(&mut p[..], &g[..], []).unwrap() });
    let report = optimizer.step_pass(&Workers::serial(), &pass, &mut list).unwrap();
    assert_eq!((report.stepped, report.skipped, report.grad_norm), (2, 1, Some(5.0)));
    assert_eq!((a, b), ([-2.0 * (3.0 * 0.2_f32)], [-4.0 * 0.2_f32]));
}

/// With the policy to step regardless, a NaN reaches its own element and no other, as without a pass.
#[test]
fn a_nan_stays_with_its_element() {
    let pass = Pass::new().check(NonFinite::Step);
    let seen = seen(&pass, &[1.0, f32::NAN, 2.0], None);
    assert_eq!((seen[0], seen[1].is_nan(), seen[2]), (1.0, true, 2.0));
}
