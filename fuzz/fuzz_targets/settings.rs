//! Every setter of a pass, of an average, of lookahead, of a training plan and of each rule is asked for every number there is,
//! and must refuse it or work: what is refused has changed nothing, and what is taken takes steps that are finite, from finite
//! gradients, whatever the number of the step. Rules are carried over to other conventions in the same way.

#![no_main]

use arbitrary::{Result, Unstructured};
use gradstep::{
    AnyRule, Average, Backend, Error, FloatsMut, Format, Grads, Lookahead, NonFinite, Pass, Rule, Sgd,
    StateKind, Tensor, Workers, convert, init_state, new_state,
    train::{Batch, Plan, minimize},
};
use gradstep_fuzz::{
    any_backend, any_rule, any_state, change_options, count, limits, number, plain_values, step, with_tail,
};
use libfuzzer_sys::fuzz_target;
use testkit::{bits, slices};

/// A tensor in the midst of its training.
#[derive(Clone)]
struct Trained {
    rule: AnyRule,
    params: Vec<f32>,
    state: Vec<Vec<f32>>,
}

impl Trained {
    fn new(u: &mut Unstructured<'_>, rule: AnyRule) -> Result<Self> {
        let len = u.int_in_range(0..=20)?;
        let params = plain_values(u, len)?;
        let mut state = any_state(u, &rule, len)?;
        state.iter_mut().flatten().for_each(|x| *x = if x.abs() < 8.0 { *x } else { 1.0 });
        let mut started = slices(&mut state);
        init_state(&rule, &params, &mut started).expect("state of that rule");
        Ok(Self { rule, params, state })
    }

    fn step(&mut self, backend: Backend, step: u64, grads: &[f32]) -> std::result::Result<(), Error> {
        let mut state = slices(&mut self.state);
        backend.step(&self.rule, step, &mut self.params, grads, &mut state)
    }

    fn bits(&self) -> Vec<Vec<u32>> {
        self.state.iter().chain([&self.params]).map(|values| bits(values)).collect()
    }

    fn assert_finite(&self, step: u64) {
        let finite = self.state.iter().chain([&self.params]).flatten().all(|x| x.is_finite());
        let Self { rule, params, state } = self;
        assert!(finite, "{rule:?} at step {step}: {params:?} {state:?}");
    }
}

fn assert_says_why(error: &Error) {
    assert!(!error.to_string().is_empty());
}

/// A few steps from the first one on, then one of any number. Options may change in between.
fn check_rule(u: &mut Unstructured<'_>) -> Result<()> {
    let rule = any_rule(u)?;
    let mut trained = Trained::new(u, rule)?;
    let backend = any_backend(u)?;
    let mut must_be_finite = true;
    for t in 1..=u.int_in_range(1..=5)? {
        let number = if t < 5 { t } else { step(u)? };
        must_be_finite &= limits::stays_finite(&trained.rule);
        let grads = limits::gradients(u, trained.params.len())?;
        let before = trained.bits();
        match trained.step(backend, number, &grads) {
            Ok(()) if must_be_finite => trained.assert_finite(number),
            Ok(()) => {}
            // A step that is called the first looks at the state.
            Err(error) => {
                assert_says_why(&error);
                assert_eq!(trained.bits(), before);
                assert!(t > 1, "{error}");
            }
        }
        let mut rule = trained.rule;
        change_options(u, &mut rule)?;
        if StateKind::of(&rule) == StateKind::of(&trained.rule) {
            trained.rule = rule;
        }
    }
    Ok(())
}

type Setter = (&'static str, fn(Pass, f64) -> std::result::Result<Pass, Error>);

const SETTERS: [Setter; 8] = [
    ("loss_scale", Pass::loss_scale),
    ("clip_value", Pass::clip_value),
    ("clip_tensor_norm", Pass::clip_tensor_norm),
    ("clip_global_norm", Pass::clip_global_norm),
    ("clip_adaptive ratio", |pass, ratio| pass.clip_adaptive(ratio, 1e-3)),
    ("clip_adaptive eps", |pass, eps| pass.clip_adaptive(0.1, eps)),
    ("clip_eps", Pass::clip_eps),
    ("max_norm", Pass::max_norm),
];

/// Each number is taken or refused by its name, and all that are refused are outside of their domain, or of what an `f32` holds.
fn any_pass(u: &mut Unstructured<'_>) -> Result<(Pass, bool)> {
    let (mut pass, mut moderate) = (Pass::new(), true);
    for (name, setter) in SETTERS {
        if u.arbitrary()? {
            let number = number(u)?;
            match setter(pass, number) {
                Ok(set) => {
                    assert!(number > 0.0 || number == 0.0 && name == "clip_eps", "{name} {number}");
                    assert!(number.is_finite(), "{name} {number}");
                    moderate &= limits::is_moderate(number);
                    pass = set;
                }
                Err(error) => {
                    let in_f32 = (1e-37..=1e37).contains(&number);
                    assert!(!in_f32, "{name} {number}: {error}");
                    let message = error.to_string();
                    assert!(message.contains(name.split(' ').next().unwrap_or_default()), "{message}");
                }
            }
        }
    }
    pass = if u.arbitrary()? { pass.centralize() } else { pass };
    pass = if u.arbitrary()? { pass.flush_subnormals() } else { pass };
    let policies = [None, Some(NonFinite::Refuse), Some(NonFinite::Skip), Some(NonFinite::Step)];
    Ok((u.choose(&policies)?.map_or(pass, |policy| pass.check(policy)), moderate))
}

fn any_average(u: &mut Unstructured<'_>) -> Result<Average> {
    let decay = number(u)?;
    let average = Average::exponential(decay);
    assert_eq!(average.is_ok(), (0.0..1.0).contains(&decay), "{decay}");
    let average = average.unwrap_or(Average::mean());
    Ok(average.from_step(count(u)?).every(count(u)?).overwrite_every(count(u)?))
}

/// Passes of one tensor, in any format, with an average that may hold any number of steps.
fn check_pass(u: &mut Unstructured<'_>) -> Result<()> {
    let rule = if u.arbitrary()? { AnyRule::Sgd(Sgd::torch()) } else { any_rule(u)? };
    let mut trained = Trained::new(u, rule)?;
    let (len, backend) = (trained.params.len(), any_backend(u)?);
    let (mut average, mut averaged) = (plain_values(u, len)?, count(u)?);
    let format = *u.choose(&[None, Some(Format::Bf16), Some(Format::F16)])?;
    // 1 or a little more.
    let mut halves = vec![if format == Some(Format::Bf16) { 0x3f81_u16 } else { 0x3c01 }; len];
    let rows = if u.arbitrary()? { Some(count(u)? as usize) } else { None };
    let offset = if u.arbitrary()? { (count(u)? as usize) << 12 } else { 0 };
    let mut must_be_finite = true;
    for t in 1..=u.int_in_range(1..=4)? {
        let ((mut pass, moderate), averages) = (any_pass(u)?, u.arbitrary()?);
        if averages {
            pass = pass.average(any_average(u)?);
        }
        must_be_finite &= moderate && limits::stays_finite(&rule);
        let number = if t < 4 { t } else { step(u)? };
        let mut grads = limits::gradients(u, len)?;
        let state = slices(&mut trained.state);
        let params = match format {
            Some(format) => FloatsMut::Half(format, &mut halves),
            None => FloatsMut::F32(&mut trained.params),
        };
        let grads = Grads::Write(FloatsMut::F32(&mut grads));
        let mut tensor = Tensor::new(params, grads, state).expect("few slices").shard_at(offset);
        tensor = rows.into_iter().fold(tensor, Tensor::rows);
        if averages {
            tensor = tensor.average(&mut average, &mut averaged);
        }
        if t == 1 {
            tensor.init_state(&rule).expect("state of that rule");
        }
        match Workers::serial().backend(backend).step_pass(&pass, &rule, number, &mut [tensor]) {
            Ok(_) if must_be_finite => {
                trained.assert_finite(number);
                let infinity = if format == Some(Format::Bf16) { 0x7f80 } else { 0x7c00 };
                assert!(halves.iter().all(|bits| bits & 0x7fff <= infinity), "NaN: {pass:?} {rule:?}");
                // The exact value may be beyond the 65504 of an `f16`.
                let is_beyond = halves.iter().any(|bits| bits & infinity == infinity);
                assert!(!is_beyond || format == Some(Format::F16), "{pass:?} {rule:?}");
                must_be_finite &= !is_beyond;
                assert!(is_beyond || average.iter().all(|x| x.is_finite()), "{pass:?}");
            }
            Ok(_) => {}
            Err(error) => assert_says_why(&error),
        }
    }
    Ok(())
}

fn check_lookahead(u: &mut Unstructured<'_>) -> Result<()> {
    let (period, part) = (count(u)?, number(u)?);
    let built = Lookahead::default().sync_period(period);
    assert_eq!(built.is_ok(), period > 0);
    let Ok(built) = built else { return Ok(()) };
    let Ok(lookahead) = built.slow_step_size(part) else {
        assert!(!(1e-37..=1.0).contains(&part), "{part}");
        return Ok(());
    };
    let len = u.int_in_range(0..=20)?;
    let (mut fast, mut slow) = (plain_values(u, len)?, plain_values(u, len)?);
    let number = count(u)?;
    let found = lookahead.sync(number, &mut fast, &mut slow);
    assert_eq!(found, if number == 0 { Err(Error::StepZero) } else { Ok(number.is_multiple_of(period)) });
    assert!(fast.iter().chain(&slow).all(|x| x.is_finite()));
    Ok(())
}

/// A run of one rule under the convention of another one, which may be any, takes a step or is refused.
fn check_convert(u: &mut Unstructured<'_>) -> Result<()> {
    let from = any_rule(u)?;
    let mut to = if u.ratio(1, 8)? { any_rule(u)? } else { from };
    let presets = AnyRule::presets(to.name());
    to = if u.arbitrary()? { AnyRule::preset(to.name(), u.choose(presets)?).expect("a preset") } else { to };
    change_options(u, &mut to)?;
    let mut trained = Trained::new(u, from)?;
    let (number, before) = (count(u)?, trained.bits());
    let mut state = slices(&mut trained.state);
    match convert(&from, &to, number, &mut state) {
        Ok(rule) => {
            assert_eq!(rule.kind(), from.kind());
            let mut started = new_state(&rule, &trained.params);
            let mut state = slices(&mut started);
            let grads = vec![0.5; trained.params.len()];
            let stepped = Backend::detect().step(&rule, 1, &mut trained.params, &grads, &mut state);
            stepped.expect("a rule that can step");
        }
        Err(error) => {
            assert_says_why(&error);
            assert_eq!(trained.bits(), before, "{error}");
        }
    }
    Ok(())
}

/// Descends on the squares of the differences from some samples.
fn check_plan(u: &mut Unstructured<'_>) -> Result<()> {
    let maybe = |u: &mut Unstructured<'_>| Ok(if u.arbitrary()? { Some(number(u)?) } else { None });
    let mini = Batch::Mini(count(u)? as usize);
    let plan = Plan {
        batch: *u.choose(&[Batch::Full, Batch::Single, mini])?,
        seed: u.arbitrary()?,
        epochs: u.int_in_range(0..=6)?,
        loss_below: maybe(u)?,
        grad_norm_below: maybe(u)?,
        patience: if u.arbitrary()? { Some(count(u)? as u32) } else { None },
        min_improvement: number(u)?,
    };
    let (rule, samples) = (any_rule(u)?, u.int_in_range(0..=6)?);
    let mut params = plain_values(u, 3)?;
    let run = minimize(&rule, &plan, &mut params, samples, |params, batch, grads| {
        let mean = batch.iter().sum::<usize>() as f32 / batch.len().max(1) as f32;
        grads.iter_mut().zip(params).for_each(|(g, p)| *g = 2.0 * (p - mean));
        params.iter().map(|p| f64::from(p - mean).powi(2)).sum()
    });
    match run {
        Ok(run) => assert!(run.end.epochs <= plan.epochs && run.history.len() as u32 >= run.end.epochs),
        Err(error) => assert_says_why(&error),
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    type Check = fn(&mut Unstructured<'_>) -> Result<()>;
    const CHECKS: [Check; 8] = [
        check_rule,
        check_rule,
        check_rule,
        check_pass,
        check_pass,
        check_lookahead,
        check_convert,
        check_plan,
    ];
    let data = with_tail(data, 200);
    let u = &mut Unstructured::new(&data);
    // Where the bytes come to an end, so does the check.
    let _ = u.choose(&CHECKS).and_then(|check| check(u));
});
