//! Every setting of a pass is refused or works over its whole domain, and a part that no tensor could have is refused.

use gradstep::{
    Average, Error, Format, Grads, NonFinite, Optimizer, Param, Pass, PassReport, Sgd, TelemetrySlot, Tensor,
    Workers,
};

use crate::model::{FORMATS, Numbers, Owned, assert_same, with_tensors};

fn sgd() -> Sgd {
    Sgd::torch().lr(1.0).unwrap()
}

/// Numbers at which something may go wrong, of both signs.
fn interesting() -> Vec<f64> {
    let above = [
        0.0,
        5e-324,
        1e-310,
        1e-300,
        1e-50,
        7e-46,
        7.1e-46,
        1e-45,
        1e-44,
        1e-39,
        f32::MIN_POSITIVE.into(),
        1e-20,
        0.5,
        1.0,
        1e20,
        3.4e38,
        f32::MAX.into(),
        3.402_823_5e38,
        3.5e38,
        1e39,
        1e44,
        1e46,
        1e300,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
    ];
    above.into_iter().flat_map(|x| [x, -x]).collect()
}

/// A setter and its name, and whether it takes a number.
type Setting = (&'static str, fn(Pass, f64) -> Result<Pass, Error>, fn(f64) -> bool);

/// Above 0 as an `f32` too. What is computed in `f64` may be as large as it likes.
fn counts(x: f64) -> bool {
    x > 0.0 && x < f64::INFINITY && x as f32 > 0.0
}

const SETTINGS: [Setting; 8] = [
    ("loss_scale", Pass::loss_scale, |x| counts(x) && counts(1.0 / x)),
    ("clip_value", Pass::clip_value, |x| counts(x) && (x as f32).is_finite()),
    ("clip_tensor_norm", Pass::clip_tensor_norm, counts),
    ("clip_global_norm", Pass::clip_global_norm, counts),
    ("clip_adaptive ratio", |pass, ratio| pass.clip_adaptive(ratio, 1.0), counts),
    ("clip_adaptive eps", |pass, eps| pass.clip_adaptive(1.0, eps), counts),
    ("clip_eps", Pass::clip_eps, |x| x >= 0.0 && (x as f32).is_finite()),
    ("max_norm", Pass::max_norm, counts),
];

#[test]
fn settings_beyond_f32_are_refused() {
    for (name, set, takes) in SETTINGS {
        for x in interesting() {
            match set(Pass::new(), x) {
                Ok(_) => assert!(takes(x), "{name} takes {x:e}"),
                Err(Error::OutOfRange { rule: "pass", option, value, .. }) => {
                    assert!(!takes(x), "{name} refuses {x:e}");
                    let inverse = (1.0 / x).to_bits() == value.to_bits() && option == "1/loss_scale";
                    assert!(
                        inverse || (option, value.to_bits()) == (name, x.to_bits()),
                        "{option} {value:e}"
                    );
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(
        Pass::new().clip_value(1e-50).unwrap_err().to_string(),
        "pass: clip_value must be finite and above 0, and 1e-50 is 0 in f32"
    );
}

/// The gradient that the rule sees, of a tensor with two rows whose parameters are 1.
fn seen(pass: Pass, grads: &[f32; 4]) -> [f32; 4] {
    let mut params = [1.0_f32; 4];
    let start = params;
    let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap().rows(2);
    let rule = Sgd::torch().lr(1.0).unwrap();
    let report = Workers::serial().step_pass(&pass, &rule, 1, &mut [tensor]).unwrap();
    assert_eq!(report.stepped, 1);
    std::array::from_fn(|i| start[i] - params[i])
}

/// What is taken does what it says: the largest and the smallest have their meaning, or leave all as it was.
#[test]
fn settings_within_f32_do_what_they_say() {
    let grads = [0.25, -0.5, 3.0, 0.0];
    for x in interesting() {
        if let Ok(pass) = Pass::new().clip_value(x) {
            let max = x as f32;
            // What the rule subtracts from 1 is rounded.
            assert_eq!(
                seen(pass, &grads),
                grads.map(|g| 1.0 - (1.0 - g.clamp(-max, max))),
                "clip_value {x:e}"
            );
        }
        for set in [Pass::clip_tensor_norm, Pass::clip_global_norm] {
            let Ok(pass) = set(Pass::new().clip_eps(0.0).unwrap(), x) else { continue };
            let norm = grads.map(|g: f32| f64::from(g).powi(2)).iter().sum::<f64>().sqrt();
            let factor = (x / norm).min(1.0);
            for (found, g) in seen(pass, &grads).into_iter().zip(grads) {
                let exact = f64::from(g) * factor;
                assert!((f64::from(found) - exact).abs() <= 1e-6 * exact.abs() + 1.3e-7, "clipping to {x:e}");
            }
        }
        if let Ok(pass) = Pass::new().clip_adaptive(x, 1e-3) {
            let largest = seen(pass, &grads).into_iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            let max = x * 2.0_f64.sqrt();
            assert!((f64::from(largest) - max.min(3.0)).abs() <= 1e-6 * max.min(3.0) + 1.3e-7, "ratio {x:e}");
        }
        if let Ok(pass) = Pass::new().clip_global_norm(1.0).unwrap().clip_eps(x) {
            let exact = 3.0 * (1.0 / (9.3125_f64.sqrt() + x));
            assert!(
                (f64::from(seen(pass, &grads)[2]) - exact).abs() <= 1e-6 * exact + 1.3e-7,
                "clip_eps {x:e}"
            );
        }
    }
}

#[test]
fn bounds_leave_room_for_a_number() {
    let refused = |low: f32, high: f32| match Pass::new().bounds(low, high) {
        Err(Error::Bounds { low: from, high: to }) => {
            assert_eq!((from.to_bits(), to.to_bits()), (low.to_bits(), high.to_bits()));
            true
        }
        other => {
            other.unwrap();
            false
        }
    };
    let infinity = f32::INFINITY;
    assert!(
        [(infinity, infinity), (-infinity, -infinity), (1.0, 0.5), (infinity, -infinity)]
            .map(|(a, b)| refused(a, b))
            == [true; 4]
    );
    assert!([0.0, 1.0, infinity].map(|x| refused(f32::NAN, x) && refused(x, f32::NAN)) == [true; 3]);
    let tiny = f32::from_bits(1);
    for (low, high) in
        [(-infinity, infinity), (f32::MAX, infinity), (-infinity, f32::MIN), (tiny, tiny), (0.0, -0.0)]
    {
        assert!(!refused(low, high), "{low:e} {high:e}");
    }
}

/// A gradient as far from zero as there is, and every weight.
#[test]
fn averages_of_any_two_numbers_are_finite_and_right() {
    let numbers = [3e38, -3e38, f32::MAX, f32::MIN, 1.7e38, 1.0, -1.0, 0.0, 1e-45, -1e-45, 1e-38, 3e-39];
    for decay in [0.0, 1e-9, 0.1, 0.5, 0.75, 0.9, 0.999, 1.0 - 1e-9] {
        for (before, p) in numbers.iter().flat_map(|&a| numbers.map(|p| (a, p))) {
            let pass = Pass::new().average(Average::exponential(decay).unwrap());
            let (mut params, mut average) = ([p], [before]);
            let mut averaged = 1;
            let tensor = Tensor::new(&mut params[..], &[0.0_f32][..], [])
                .unwrap()
                .average(&mut average, &mut averaged);
            let report = Workers::serial().step_pass(&pass, &sgd(), 2, &mut [tensor]).unwrap();
            assert_eq!(report.stepped, 1);
            let exact = f64::from(before) * decay + f64::from(p) * (1.0 - decay);
            let found = f64::from(average[0]);
            // Of the larger of both, and of the rounded weight.
            let allowed = 2e-7 * f64::from(before.abs().max(p.abs())) + 3e-45;
            assert!(
                (found - exact).abs() <= allowed,
                "{before:e} and {p:e} at {decay}: {found:e}, not {exact:e}"
            );
        }
    }
}

#[test]
fn an_average_of_opposite_ends_is_zero() {
    let pass = Pass::new().average(Average::exponential(0.5).unwrap());
    for (p, before) in [(3e38, -3e38), (-3e38, 3e38), (f32::MAX, f32::MIN)] {
        let (mut params, mut average) = ([p; 70], [before; 70]);
        let mut averaged = 1;
        let tensor = Tensor::new(&mut params[..], &[0.0_f32; 70][..], [])
            .unwrap()
            .average(&mut average, &mut averaged);
        let report = Workers::serial().step_pass(&pass, &sgd(), 2, &mut [tensor]).unwrap();
        assert_eq!((report.stepped, average), (1, [0.0; 70]));
    }
}

/// The averages of the numbers 1, 2, 3, ..., step by step.
fn averages(average: Average, steps: u64) -> Vec<f64> {
    let pass = Pass::new().average(average);
    let (mut p, grads, mut average, mut averaged) = ([0.0_f32], [-1.0_f32], [f32::NAN], 0);
    let mut step = |t| {
        let tensor = Tensor::new(&mut p[..], &grads[..], []).unwrap().average(&mut average, &mut averaged);
        let report = Workers::serial().step_pass(&pass, &sgd(), t, &mut [tensor]).unwrap();
        assert_eq!(report.stepped, 1);
        average[0].into()
    };
    (1..=steps).map(&mut step).collect()
}

#[track_caller]
fn near(found: &[f64], expected: impl Iterator<Item = f64>) {
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-5 * expected, "{step}: {found}, not {expected}");
    }
}

#[test]
fn a_decay_warms_up() {
    let mut average = 1.0;
    let expected = (0..200).map(|t: i32| {
        let decay = if t == 0 { 0.0 } else { (f64::from(1 + t) / f64::from(10 + t)).min(0.9) };
        average = average * decay + f64::from(t + 1) * (1.0 - decay);
        average
    });
    near(&averages(Average::warming_up(0.9).unwrap(), 200), expected);
    assert_eq!(averages(Average::warming_up(0.0).unwrap(), 3), [1.0, 2.0, 3.0]);
    // From another step on, and pausing, the steps that were averaged count.
    let late = averages(Average::warming_up(0.9).unwrap().from_step(3).every(2), 5);
    near(&late, [1.0, 2.0, 3.0, 3.0, 3.0 * (2.0 / 11.0) + 5.0 * (9.0 / 11.0)].into_iter());
}

#[test]
fn a_power_law_weighs_by_the_count() {
    near(&averages(Average::power(0.0).unwrap(), 100), (1..=100).map(|t| f64::from(t + 1) / 2.0));
    // With an exponent of 1, after `n` steps each weighs `k^2 - (k-1)^2` of `n^2`.
    let mean = |n: i32| {
        let weighed = (1..=n).map(|k| f64::from(k) * f64::from(k * k - (k - 1) * (k - 1))).sum::<f64>();
        weighed / f64::from(n * n)
    };
    near(&averages(Average::power(1.0).unwrap(), 100), (1..=100).map(mean));
    assert_eq!(averages(Average::power(3e38).unwrap(), 3), [1.0, 2.0, 3.0]);
    for refused in [-1e-300, f64::NAN, f64::INFINITY, 1e39] {
        assert!(matches!(Average::power(refused), Err(Error::OutOfRange { option: "average exponent", .. })));
    }
}

/// At any count the newest parameters weigh `1 - (1 - 1/count)^(exponent + 1)`, where the difference cancels too.
#[test]
fn a_power_law_keeps_its_digits_in_long_runs() {
    for exponent in [0.0, 0.5, 6.94, 1000.0] {
        for count in [2, 10, 9999, 10_000_000, 10_010_000, 1 << 40, u64::MAX] {
            let pass = Pass::new().average(Average::power(exponent).unwrap());
            let (mut params, mut average) = ([1.0_f32], [0.0_f32]);
            let mut averaged = count - 1;
            let tensor = Tensor::new(&mut params[..], &[0.0_f32][..], [])
                .unwrap()
                .average(&mut average, &mut averaged);
            let report = Workers::serial().step_pass(&pass, &sgd(), count, &mut [tensor]).unwrap();
            assert_eq!(report.stepped, 1);
            let exact = -f64::exp_m1((exponent + 1.0) * f64::ln_1p(-1.0 / count as f64));
            assert!((f64::from(average[0]) / exact - 1.0).abs() < 1e-7, "{exponent} {count}: {}", average[0]);
        }
    }
}

fn step(pass: &Pass, model: &mut [Owned]) -> PassReport {
    with_tensors(model, |mut tensors| Workers::serial().step_pass(pass, &sgd(), 1, &mut tensors)).unwrap()
}

fn model(grads: [f32; 2]) -> [Owned; 2] {
    grads.map(|g| Owned::plain(&sgd(), &[1.0; 2], &[g, 0.5]))
}

#[test]
fn gradients_are_zeroed_after_a_refusal_where_that_is_asked_for() {
    for format in FORMATS {
        let mut start = model([f32::INFINITY, 0.5]);
        start[1].grads = Numbers::new(format, &[0.5, 0.5]);
        let mut kept = start.clone();
        let pass = Pass::new().check(NonFinite::Refuse);
        assert!(step(&pass.zero_grads(), &mut kept).refused);
        assert_same(&kept, &start, || "zero_grads".to_owned());

        let mut zeroed = start.clone();
        assert!(step(&pass.zero_grads_always(), &mut zeroed).refused);
        for (zeroed, start) in zeroed.iter_mut().zip(&start) {
            assert_eq!(zeroed.grads.values(), [0.0; 2]);
            zeroed.grads = start.grads.clone();
        }
        assert_same(&zeroed, &start, || "but for the gradients".to_owned());
    }
}

#[test]
fn gradients_of_skipped_tensors_are_zeroed_where_that_is_asked_for() {
    let pass = Pass::new().check(NonFinite::Skip);
    let mut kept = model([f32::NAN, 0.5]);
    assert_eq!(step(&pass.zero_grads(), &mut kept).skipped, 1);
    assert!(kept[0].grads.values()[0].is_nan());
    assert_eq!((kept[0].params.values(), kept[1].grads.values()), (vec![1.0; 2], vec![0.0; 2]));
    let mut zeroed = model([f32::NAN, 0.5]);
    assert_eq!(step(&pass.zero_grads_always(), &mut zeroed).skipped, 1);
    assert!(zeroed.iter().all(|tensor| tensor.grads.values() == [0.0; 2]));
    assert_eq!((zeroed[0].params.values(), zeroed[1].params.values()), (vec![1.0; 2], vec![0.5; 2]));
    // Without a check all are stepped, and zeroed as ever.
    let mut stepped = model([0.5; 2]);
    assert_eq!(step(&Pass::new().zero_grads_always(), &mut stepped).stepped, 2);
    assert!(stepped.iter().all(|tensor| tensor.grads.values() == [0.0; 2]));
}

/// The second half of a step of shards, and an optimizer's pass, zero as well; large tensors among several threads.
#[test]
fn every_kind_of_pass_zeroes_after_a_refusal() {
    let pass = Pass::new().check(NonFinite::Refuse).zero_grads_always();
    let workers = Workers::rayon().serial_below(0);
    let len = 100_000;
    let (mut params, mut grads) = (vec![1.0_f32; len], vec![0.5_f32; len]);
    let poison = |grads: &mut [f32]| grads[len / 2] = f32::INFINITY;

    poison(&mut grads);
    let mut list = [Tensor::new(&mut params[..], &mut grads[..], []).unwrap()];
    workers.measure_pass(&pass, &sgd(), 1, &mut list).unwrap();
    let sums = list[0].sums();
    assert!(workers.finish_pass(&pass, &sgd(), 1, &mut list, &[sums]).unwrap().refused);
    assert!(grads.iter().all(|&g| g == 0.0) && params.iter().all(|&p| p == 1.0));

    poison(&mut grads);
    let mut optimizer = Optimizer::new(sgd()).unwrap();
    let id = optimizer.register("weight", len).unwrap();
    let tensor = Tensor::new(&mut params[..], &mut grads[..], []).unwrap();
    assert!(optimizer.step_pass(&workers, &pass, &mut [Param { id, tensor }]).unwrap().refused);
    assert!(grads.iter().all(|&g| g == 0.0) && params.iter().all(|&p| p == 1.0));
    assert_eq!(optimizer.saved("weight").unwrap().step, 0);
}

/// A caller who adds up gradients goes on after an infinity.
#[test]
fn gradients_that_are_added_up_recover_from_a_refusal() {
    let pass = Pass::new().check(NonFinite::Refuse).zero_grads_always();
    let (mut params, mut grads) = ([0.0_f32], [0.0_f32]);
    let mut refused = 0;
    for t in 1..=10 {
        grads[0] += if t == 3 { f32::INFINITY } else { -1.0 };
        let mut list = [Tensor::new(&mut params[..], &mut grads[..], []).unwrap()];
        refused += u32::from(Workers::serial().step_pass(&pass, &sgd(), 1, &mut list).unwrap().refused);
    }
    assert_eq!((refused, params), (1, [9.0]));
}

#[test]
fn gradients_to_be_zeroed_always_can_be_written() {
    let pass = Pass::new().zero_grads_always();
    let (mut params, grads) = ([1.0_f32], [0.5_f32]);
    let tensor = Tensor::new(&mut params[..], &grads[..], []).unwrap();
    let refused = Workers::serial().step_pass(&pass, &sgd(), 1, &mut [tensor]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "tensor \"#0\": the pass zeroes gradients, and these, or some of them, were given as read-only"
    );
}

/// What the pass says where none of its tensors has what a part takes; what `with` adds to the second makes it take the step.
fn lacks(pass: Pass, with: impl FnOnce(&mut Owned)) -> Error {
    let slot = TelemetrySlot::default();
    let mut model = model([0.5; 2]);
    let before = model.clone();
    let refused = with_tensors(&mut model, |tensors| {
        let mut tensors: Vec<_> = tensors.into_iter().map(|tensor| tensor.telemetry(&slot)).collect();
        let workers = Workers::serial();
        assert_eq!(
            workers.step_pass(&Pass::new(), &Sgd::torch().lr(0.0).unwrap(), 1, &mut tensors).unwrap().stepped,
            2
        );
        let told = slot.get();
        let refused = workers.step_pass(&pass, &sgd(), 1, &mut tensors).unwrap_err();
        assert_eq!(slot.get(), told, "telemetry is of the last step that was taken");
        // Here others may have it elsewhere.
        workers.measure_pass(&pass, &sgd(), 1, &mut tensors).unwrap();
        refused
    });
    assert_same(&model, &before, || refused.to_string());

    let mut optimizer = Optimizer::new(sgd()).unwrap();
    let ids = ["a", "b"].map(|name| optimizer.register(name, 2).unwrap());
    let of_optimizer = with_tensors(&mut model, |tensors| {
        let params = ids.into_iter().zip(tensors).map(|(id, tensor)| Param { id, tensor });
        optimizer.step_pass(&Workers::serial(), &pass, &mut params.collect::<Vec<_>>()).unwrap_err()
    });
    assert_eq!(of_optimizer, refused);

    with(&mut model[1]);
    assert_eq!(step(&pass, &mut model).stepped, 2);
    refused
}

#[test]
fn a_part_that_no_tensor_has_is_refused() {
    let rows = |tensor: &mut Owned| tensor.rows = Some(1);
    let error = lacks(Pass::new().centralize(), rows);
    assert_eq!(error, Error::NoEffect { option: "centralize", needs: "rows" });
    assert_eq!(error.to_string(), "the pass has centralize, and no tensor of the list has rows");
    let error = lacks(Pass::new().max_norm(1.0).unwrap(), rows);
    assert_eq!(error, Error::NoEffect { option: "max_norm", needs: "rows" });
    let error = lacks(Pass::new().average(Average::mean()), |tensor| {
        tensor.average = Some(crate::model::Padded::new(&[0.0; 2], 0));
    });
    assert_eq!(error, Error::NoEffect { option: "average", needs: "an average" });
}

/// Zeroed gradients in 16 bits are positive zeros.
#[test]
fn zeroed_halves_are_positive() {
    let (mut params, mut grads) = ([1.0_f32], Numbers::new(Some(Format::Bf16), &[f32::NEG_INFINITY]));
    let pass = Pass::new().check(NonFinite::Refuse).zero_grads_always();
    let mut list = [Tensor::new(&mut params[..], Grads::Write(grads.write()), []).unwrap()];
    assert!(Workers::serial().step_pass(&pass, &sgd(), 1, &mut list).unwrap().refused);
    assert_eq!(grads.bits(), [0]);
}

/// Finite gradients on both sides of zero, so far from the mean of their row that the difference overflows.
#[test]
fn gradients_that_overflow_when_they_are_centered_are_refused() {
    let grads = [3e38_f32, -3e38, -3e38, -3e38, 1.0, 2.0, 3.0, 4.0];
    for (pass, refused, count) in [
        (Pass::new().centralize().check(NonFinite::Refuse), true, 1),
        (Pass::new().centralize().check(NonFinite::Refuse).clip_global_norm(1.0).unwrap(), true, 1),
        // Clipped by value it is finite again.
        (Pass::new().centralize().check(NonFinite::Refuse).clip_value(1.0).unwrap(), false, 0),
        (Pass::new().check(NonFinite::Refuse), false, 0),
    ] {
        let mut params = [0.0_f32; 8];
        let mut list = [Tensor::new(&mut params[..], &grads[..], []).unwrap().rows(2)];
        let report = Workers::serial().step_pass(&pass, &sgd(), 1, &mut list).unwrap();
        assert_eq!((report.refused, report.non_finite), (refused, count));
        assert!(params.iter().all(|p| p.is_finite()));
    }
}
