//! Lookahead: its formula by hand, beside rules with state, the same bits on every backend and at any number of
//! threads, and every refusal.

#[path = "golden/record.rs"]
mod record;

use gradstep::{
    Adam, AnyRule, Backend, Domain, Error, FloatsMut, Format, Grads, Lookahead, Sgd, Tensor, Value, Workers,
    step,
};
use rayon::ThreadPoolBuilder;
use record::{Case, Record, Run};
use testkit::{Buffers, Random, awkward, bits, signed};

#[test]
fn the_formula_by_hand() -> Result<(), Error> {
    let rule = Sgd::torch().lr(1.0)?;
    let lookahead = Lookahead::default().sync_period(3)?.slow_step_size(0.25)?;
    let (mut fast, mut slow) = ([16.0, -2.0], [16.0, -2.0]);
    let mut paths = vec![];
    for t in 1..=6 {
        step(&rule, t, &mut fast, &[4.0, 0.0], &mut [])?;
        let synced = lookahead.sync(t, &mut fast, &mut slow)?;
        paths.push((synced, fast[0], slow[0]));
    }
    let quiet = |fast, slow| (false, fast, slow);
    // 12 below 16, a quarter of it is 3; then 12 below 13.
    let after = [
        quiet(12.0, 16.0),
        quiet(8.0, 16.0),
        (true, 13.0, 13.0),
        quiet(9.0, 13.0),
        quiet(5.0, 13.0),
        (true, 10.0, 10.0),
    ];
    assert_eq!(paths, after);
    assert_eq!((fast[1], slow[1]), (-2.0, -2.0));
    Ok(())
}

/// The rule's state is not touched: the parameters that Adam steps are set back, its averages go on.
#[test]
fn state_of_the_rule_goes_on() -> Result<(), Error> {
    let lookahead = Lookahead::default();
    let mut random = Random(3);
    let rule = Adam::torch();
    let mut alone = Buffers::new(&rule, signed(100, &mut random), signed(100, &mut random));
    let mut wrapped = alone.clone();
    let mut slow = wrapped.params.clone();
    for t in 1..=7 {
        alone.step(Backend::detect(), &rule, t)?;
        wrapped.step(Backend::detect(), &rule, t)?;
        lookahead.sync(t, &mut wrapped.params, &mut slow)?;
        assert_eq!(alone.params == wrapped.params, t < 5);
    }
    assert_eq!(alone.state, wrapped.state);
    Ok(())
}

/// With a step size of 1 the slow weights are the fast ones: gradients of the same size leave no rounding.
#[test]
fn a_whole_step_is_the_rule_alone() -> Result<(), Error> {
    let lookahead = Lookahead::default().sync_period(1)?.slow_step_size(1.0)?;
    let (mut fast, mut slow) = ([1.0, 2.0, -3.5], [1.5, 4.0, -3.25]);
    assert!(lookahead.sync(1, &mut fast, &mut slow)?);
    assert_eq!((fast, slow), ([1.0, 2.0, -3.5], [1.0, 2.0, -3.5]));
    Ok(())
}

fn naive(part: f32, fast: &mut [f32], slow: &mut [f32]) {
    for (fast, slow) in fast.iter_mut().zip(slow) {
        *slow += (*fast - *slow) * part;
        *fast = *slow;
    }
}

#[test]
fn every_backend_length_and_alignment() -> Result<(), Error> {
    let lookahead = Lookahead::default().slow_step_size(0.3)?;
    let mut random = Random(17);
    for len in (0..70).chain([4095, 4096, 4097, 10_007]) {
        let (mut fast, mut slow) = (awkward(len, &mut random), awkward(len, &mut random));
        for backend in Backend::available() {
            for shift in [0, 1, 3] {
                let sentinel = 123.0;
                let framed = |values: &[f32]| [&vec![sentinel; shift], values, &[sentinel; 4]].concat();
                let (mut framed_fast, mut framed_slow) = (framed(&fast), framed(&slow));
                let range = shift..shift + len;
                let tensor = Tensor::new(
                    &mut framed_fast[range.clone()],
                    Grads::NONE,
                    [&mut framed_slow[range.clone()]],
                )?;
                let workers = Workers::serial().backend(backend);
                assert!(lookahead.sync_model(&workers, 5, &mut [tensor])?);
                let (mut exact_fast, mut exact_slow) = (fast.clone(), slow.clone());
                naive(0.3, &mut exact_fast, &mut exact_slow);
                assert_eq!(bits(&framed_fast), bits(&framed(&exact_fast)), "{backend}, {len} elements");
                assert_eq!(bits(&framed_slow), bits(&framed(&exact_slow)), "{backend}, {len} elements");
            }
        }
        // And the call for two slices is one of these.
        let (mut exact_fast, mut exact_slow) = (fast.clone(), slow.clone());
        naive(0.3, &mut exact_fast, &mut exact_slow);
        lookahead.sync(10, &mut fast, &mut slow)?;
        assert_eq!((bits(&fast), bits(&slow)), (bits(&exact_fast), bits(&exact_slow)));
    }
    Ok(())
}

#[test]
fn threads_change_no_bit() -> Result<(), Error> {
    let lookahead = Lookahead::default();
    let mut random = Random(23);
    let start = [200_001, 3, 0, 70_000].map(|len| (awkward(len, &mut random), awkward(len, &mut random)));
    let mut alone = start.clone();
    for (fast, slow) in &mut alone {
        naive(0.5, fast, slow);
    }
    for threads in 1..4 {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut model = start.clone();
        let tensors = model.iter_mut().map(|(fast, slow)| Tensor::new(fast, Grads::NONE, [&mut slow[..]]));
        let mut tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        let workers = Workers::rayon().serial_below(0);
        assert!(pool.install(|| lookahead.sync_model(&workers, 5, &mut tensors))?);
        for ((fast, slow), (exact_fast, exact_slow)) in model.iter().zip(&alone) {
            assert_eq!((bits(fast), bits(slow)), (bits(exact_fast), bits(exact_slow)), "{threads} threads");
        }
    }
    Ok(())
}

#[test]
fn what_is_refused_changes_nothing() -> Result<(), Error> {
    let lookahead = Lookahead::default();
    let (mut fast, mut slow) = ([1.0, 2.0], [0.0]);
    let length = Error::Length { slice: "slow", expected: 2, found: 1 };
    // Also at a step where nothing is to be done.
    for t in [4, 5] {
        assert_eq!(lookahead.sync(t, &mut fast, &mut slow), Err(length));
    }
    assert_eq!(lookahead.sync(0, &mut fast, &mut [0.0, 0.0]), Err(Error::StepZero));
    let none = Tensor::new(&mut fast, Grads::NONE, [])?;
    let refusal = lookahead.sync_model(&Workers::serial(), 5, &mut [none]).unwrap_err();
    assert_eq!(refusal.to_string(), "lookahead needs 1 state slices (slow) and was given 0");

    let (mut other, mut other_slow) = ([3.0], [4.0]);
    let mut model = [
        Tensor::new(&mut other, Grads::NONE, [&mut other_slow[..]])?,
        Tensor::new(&mut fast, Grads::NONE, [&mut slow[..]])?,
    ];
    let refusal = lookahead.sync_model(&Workers::serial(), 5, &mut model).unwrap_err();
    assert_eq!(refusal.to_string(), "tensor \"#1\": slow has 1 elements where there are 2 parameters");
    assert_eq!((fast, slow, other, other_slow), ([1.0, 2.0], [0.0], [3.0], [4.0]));
    Ok(())
}

#[test]
fn options_outside_their_domain() {
    let lookahead = Lookahead::default();
    let refusal = lookahead.sync_period(0).unwrap_err();
    assert_eq!(refusal.to_string(), "lookahead: sync_period must be finite and above 0, and is 0");
    for size in [0.0, -0.5, 1.000_001, f64::INFINITY] {
        let (option, domain) = ("slow_step_size", Domain::PositiveUnit);
        let refusal = Error::OutOfRange { rule: "lookahead", option, value: size, domain };
        assert_eq!(lookahead.slow_step_size(size), Err(refusal));
    }
    assert!(lookahead.slow_step_size(f64::NAN).is_err());
    assert!(lookahead.slow_step_size(1.0).is_ok() && lookahead.sync_period(u64::MAX).is_ok());
}

fn number(case: &Case, option: &str) -> f64 {
    match case.option(option) {
        Some(Value::Number(number)) => number,
        other => panic!("{}: {option} is {other:?}", case.label()),
    }
}

/// One tensor of a recorded run of optax, in our hands.
fn run(record: &Record, case: &Case, tensor: usize) -> Result<Run, Error> {
    let Some(Value::Choice(name)) = case.option("rule") else { panic!("{} has no rule", case.label()) };
    let mut rule = AnyRule::preset(name, "optax")?;
    rule.set("lr", number(case, "lr"))?;
    let lookahead = Lookahead::default()
        .sync_period(number(case, "sync_period") as u64)?
        .slow_step_size(number(case, "slow_step_size"))?;
    let start = record.input(&format!("params.{tensor}"))[0].clone();
    let mut slow = start.clone();
    let mut fast = Buffers::new(&rule, start, vec![]);
    let mut run = Run::default();
    for (t, grads) in (1u64..).zip(record.input(&format!("grads.{tensor}"))) {
        fast.grads.clone_from(grads);
        fast.step(Backend::detect(), &rule, t)?;
        lookahead.sync(t, &mut fast.params, &mut slow)?;
        for (kind, values) in [("fast", &fast.params), ("slow", &slow)] {
            run.insert(kind, &t.to_string(), values.iter().map(|&x| x.into()).collect());
        }
    }
    Ok(run)
}

/// As near to optax' run in `f64` as twice its own in `f32`, or within 8 ULP.
#[test]
fn the_numbers_of_optax() -> Result<(), Error> {
    let record = Record::read(include_bytes!("golden/passes.txt.gz"));
    let cases: Vec<_> = record.cases.iter().filter(|case| case.what == "lookahead").collect();
    assert_eq!(cases.len(), 4);
    for case in cases {
        for tensor in 0..3 {
            let ours = run(&record, case, tensor)?;
            for weights in ["fast", "slow"] {
                let (kind, truth) = (format!("{weights}.{tensor}"), case.run("float64"));
                let found = ours.error(weights, truth, &kind);
                let theirs = case.run("float32").error(&kind, truth, &kind);
                println!("{}: {kind} {found:.2} ULP, optax {theirs:.2}", case.label());
                assert!(found <= f64::max(8.0, 2.0 * theirs), "{}: {kind} {found} ULP", case.label());
            }
        }
    }
    Ok(())
}

#[test]
fn parameters_of_16_bits_are_refused() {
    let (mut bits, mut slow) = ([0x3f80_u16; 4], [0.0; 4]);
    let fast = FloatsMut::Half(Format::Bf16, &mut bits);
    let mut model = [Tensor::new(fast, Grads::NONE, [&mut slow[..]]).unwrap()];
    let refusal = Lookahead::default().sync_model(&Workers::serial(), 5, &mut model).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "tensor \"#0\": lookahead moves parameters of f32 alone, and these have 16 bits"
    );
    assert_eq!((bits, slow), ([0x3f80; 4], [0.0; 4]));
}
