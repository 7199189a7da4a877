//! Bytes become a pass, a rule and a model whose tensors may count their own steps and keep averages; every backend must then
//! agree with the scalar one bit for bit, and so must the reverse order and the two halves of a pass. What a pass refuses or
//! skips must be as it was, counters and averages' counts included, and what it steps must be counted. At most one thing is
//! wrong with the list, for which it must be refused as a whole.

#![no_main]

use arbitrary::{Result, Unstructured};
use gradstep::{
    AnyRule, Average, Backend, Error, Floats, FloatsMut, Format, Grads, NonFinite, Pass, PassReport, Rule,
    Scope, Telemetry, TelemetrySlot, Tensor, Workers, full_slots,
};
use gradstep_fuzz::{any_rule, any_state, change_state, count, number, step, steps_taken, values, with_tail};
use libfuzzer_sys::fuzz_target;
use testkit::{Random, bits, bits_of, equal, is_elementwise, slices};

#[derive(Clone, Debug)]
struct Case {
    pass: Pass,
    kept: Option<Kept>,
    zeroes: bool,
    bounds: Option<(f32, f32)>,
    rule: AnyRule,
    step: u64,
    model: Vec<Owned>,
    /// Whether all first steps start from what the rule starts from.
    started: bool,
    fault: Option<Fault>,
}

/// What an average asks of the steps, as it was asked for.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// That of an exponential average; a mean has none.
    decay: Option<f64>,
    first: u64,
    every: u64,
    overwrite_every: u64,
}

impl Kept {
    /// Whether a step is counted in the average.
    fn takes_in(self, step: u64) -> bool {
        let first = self.first.max(1);
        step >= first && (step - first) % self.every.max(1) == 0
    }

    fn overwrites(self, step: u64) -> bool {
        self.overwrite_every > 0 && step % self.overwrite_every == 0
    }

    /// The next average of a parameter, beside so many steps that are in the old one already.
    fn next(self, step: u64, averaged: u64, old: f32, param: f32) -> f32 {
        let weight = self.decay.map_or(1.0 / (averaged as f64 + 1.0), |decay| 1.0 - decay);
        if averaged == 0 || step < self.first.max(1) || self.takes_in(step) && weight as f32 == 1.0 {
            param
        } else if self.takes_in(step) {
            old + (param - old) * weight as f32
        } else {
            old
        }
    }
}

/// What is wrong with the first tensor.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Grads,
    Average,
    AverageOfNoPass,
    ReadOnly,
    Rows,
    Offset,
    StateCount,
}

/// The bits of the floats may be any: NaN, subnormals, all of them.
#[derive(Clone, Debug)]
enum Numbers {
    Single(Vec<f32>),
    Half(Format, Vec<u16>),
}

#[derive(Clone, Debug)]
struct Owned {
    params: Numbers,
    grads: Numbers,
    read_only: bool,
    more: Option<Numbers>,
    state: Vec<Vec<f32>>,
    /// How many steps it has taken, if it counts them itself.
    counter: Option<u64>,
    /// With how many steps there are in it.
    average: Option<(Vec<f32>, u64)>,
    copy: Option<Numbers>,
    rows: Option<usize>,
    offset: usize,
}

impl Case {
    fn any(u: &mut Unstructured<'_>) -> Result<Self> {
        let (rule, step) = (any_rule(u)?, step(u)?);
        let mut case = Self {
            pass: any_pass(u)?,
            kept: None,
            zeroes: u.arbitrary()?,
            bounds: None,
            rule,
            step,
            model: vec![],
            started: true,
            fault: None,
        };
        case.bound(u)?;
        if u.arbitrary()? {
            let (average, kept) = any_average(u)?;
            (case.pass, case.kept) = (case.pass.average(average), Some(kept));
        }
        if case.zeroes {
            case.pass = case.pass.zero_grads();
        }
        for _ in 0..u.int_in_range(0..=3)? {
            let tensor = Owned::any(u, &case)?;
            case.model.push(tensor);
        }
        case.started = case.is_started();
        case.spoil(u)?;
        Ok(case)
    }
}

/// Numbers that are refused leave the pass as it was.
fn any_pass(u: &mut Unstructured<'_>) -> Result<Pass> {
    type Setting = fn(Pass, f64) -> std::result::Result<Pass, Error>;
    let settings: [Setting; 7] = [
        Pass::loss_scale,
        Pass::clip_value,
        Pass::clip_tensor_norm,
        Pass::clip_global_norm,
        |pass, ratio| pass.clip_adaptive(ratio, 1e-3),
        Pass::clip_eps,
        Pass::max_norm,
    ];
    let mut pass = Pass::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let (setting, value) = (u.choose(&settings)?, number(u)?);
        pass = setting(pass, value).unwrap_or(pass);
    }
    let policies = [None, Some(NonFinite::Refuse), Some(NonFinite::Skip), Some(NonFinite::Step)];
    pass = u.choose(&policies)?.map_or(pass, |policy| pass.check(policy));
    pass = if u.arbitrary()? { pass.centralize() } else { pass };
    Ok(if u.arbitrary()? { pass.flush_subnormals() } else { pass })
}

fn any_average(u: &mut Unstructured<'_>) -> Result<(Average, Kept)> {
    let decay = number(u)?;
    let (average, decay) = match Average::exponential(decay) {
        Ok(average) if u.arbitrary()? => (average, Some(decay)),
        _ => (Average::mean(), None),
    };
    let (first, every, overwrite_every) = (count(u)?, count(u)?, count(u)?);
    let kept = Kept { decay, first, every, overwrite_every };
    Ok((average.from_step(first).every(every).overwrite_every(overwrite_every), kept))
}

impl Numbers {
    fn any(u: &mut Unstructured<'_>, len: usize) -> Result<Self> {
        let kind = u.int_in_range(0..=3)?;
        if kind == 3 {
            return Ok(Self::Half(Format::F16, any_halves(u, len)?));
        }
        let singles = values(u, len)?;
        Ok(match kind {
            2 => Self::Half(Format::Bf16, singles.iter().map(|x| (x.to_bits() >> 16) as u16).collect()),
            _ => Self::Single(singles),
        })
    }

    fn read(&self) -> Floats<'_> {
        match self {
            Self::Single(floats) => Floats::F32(floats),
            Self::Half(format, bits) => Floats::Half(*format, bits),
        }
    }

    fn write(&mut self) -> FloatsMut<'_> {
        match self {
            Self::Single(floats) => FloatsMut::F32(floats),
            Self::Half(format, bits) => FloatsMut::Half(*format, bits),
        }
    }

    /// Which NaN is not specified.
    fn bits(&self) -> Vec<u32> {
        match self {
            Self::Single(floats) => bits(floats),
            Self::Half(format, bits) => bits.iter().map(|&bits| half_bits(*format, bits)).collect(),
        }
    }

    fn push_zero(&mut self) {
        match self {
            Self::Single(floats) => floats.push(0.0),
            Self::Half(_, bits) => bits.push(0),
        }
    }
}

/// Any bits, or numbers about 1.
fn any_halves(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<u16>> {
    let (mut random, any_bits) = (Random(u.arbitrary::<u16>()?.into()), u.ratio(1, 4)?);
    let half = |_| {
        let bits = random.bits(16) as u16;
        if any_bits { bits } else { bits & 0x83ff | (11 + random.below(8) as u16) << 10 }
    };
    Ok((0..len).map(half).collect())
}

fn half_bits(format: Format, bits: u16) -> u32 {
    let infinity = if format == Format::Bf16 { 0x7f80 } else { 0x7c00 };
    if bits & 0x7fff > infinity { 0x7fff } else { bits.into() }
}

impl Owned {
    fn any(u: &mut Unstructured<'_>, case: &Case) -> Result<Self> {
        let len = u.int_in_range(0..=40)?;
        let rows = u.int_in_range(1..=len.max(1))?;
        let average = if case.kept.is_some() && u.ratio(3, 4)? {
            Some((values(u, len)?, steps_taken(u)?))
        } else {
            None
        };
        let mut owned = Self {
            params: Numbers::any(u, len)?,
            grads: Numbers::any(u, len)?,
            read_only: !case.zeroes && u.arbitrary()?,
            more: if case.zeroes || u.arbitrary()? { None } else { Some(Numbers::any(u, len)?) },
            state: any_state(u, &case.rule, len)?,
            counter: if u.arbitrary()? { Some(steps_taken(u)?) } else { None },
            average,
            copy: if u.arbitrary()? { Some(Numbers::any(u, len)?) } else { None },
            rows: len.is_multiple_of(rows).then_some(rows),
            offset: 0,
        };
        if owned.next_step(case.step) == 1 {
            owned.start(&case.rule);
            if u.ratio(1, 8)? {
                change_state(u, &mut owned.state)?;
            }
        }
        Ok(owned)
    }

    /// The number of its step where that of the call is `step`.
    fn next_step(&self, step: u64) -> u64 {
        self.counter.map_or(step, |steps| steps.saturating_add(1))
    }

    fn start(&mut self, rule: &AnyRule) {
        let slot = TelemetrySlot::default();
        self.tensor(&[], &slot).init_state(rule).expect("state of that rule");
    }

    /// Whether its state is what comes before the first step.
    fn is_started(&self, rule: &AnyRule) -> bool {
        let mut started = self.clone();
        started.start(rule);
        let (mine, start) = (self.state.iter().flatten(), started.state.iter().flatten());
        mine.zip(start).all(|(&x, &y)| equal(x, y))
    }

    fn tensor<'a>(&'a mut self, more: &'a [Floats<'a>], slot: &'a TelemetrySlot) -> Tensor<'a> {
        let grads =
            if self.read_only { Grads::Read(self.grads.read()) } else { Grads::Write(self.grads.write()) };
        let mut tensor =
            Tensor::new(self.params.write(), grads, slices(&mut self.state)).expect("few slices");
        tensor = tensor.more_grads(more).telemetry(slot).shard_at(self.offset);
        tensor = self.rows.into_iter().fold(tensor, Tensor::rows);
        tensor = self.counter.iter_mut().fold(tensor, Tensor::counter);
        if let Some((average, averaged)) = &mut self.average {
            tensor = tensor.average(average, averaged);
        }
        self.copy.iter_mut().fold(tensor, |tensor, copy| tensor.copy_out(copy.write()))
    }

    /// All that it has, and last the state.
    fn bits(&self) -> Vec<Vec<u32>> {
        let numbers = [Some(&self.params), Some(&self.grads), self.copy.as_ref()];
        let average = self.average.iter().map(|(average, _)| average);
        let singles = average.chain(&self.state).map(|values| bits(values));
        numbers.into_iter().flatten().map(Numbers::bits).chain(singles).collect()
    }

    fn averaged(&self) -> Option<u64> {
        self.average.as_ref().map(|(_, averaged)| *averaged)
    }
}

/// All that can be seen of a step.
#[derive(Clone, Debug)]
struct Seen {
    model: Vec<Owned>,
    skipped: Vec<bool>,
    non_finite: Vec<u64>,
    told: Vec<Telemetry>,
    report: PassReport,
}

impl Seen {
    fn assert_same(&self, other: &Self, label: &str) {
        // In what is printed, two norms that are NaN are the same.
        assert_eq!(format!("{:?}", self.report), format!("{:?}", other.report), "{label}");
        assert_eq!((&self.skipped, &self.non_finite), (&other.skipped, &other.non_finite), "{label}");
        assert_eq!(format!("{:?}", self.told), format!("{:?}", other.told), "{label}");
        assert_same_model(&self.model, &other.model, label);
    }
}

fn assert_same_model(found: &[Owned], expected: &[Owned], label: &str) {
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.counter, expected.counter, "counter of {i}, {label}");
        assert_eq!(found.averaged(), expected.averaged(), "count of {i}, {label}");
        assert_eq!(found.bits(), expected.bits(), "tensor {i}, {label}");
    }
}

/// How the step is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    AtOnce,
    Reversed,
    /// First what has to be known of all tensors, then the step.
    InHalves,
}

impl Case {
    fn bound(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let edges = values(u, 2)?;
        if u.arbitrary()? {
            let bounded = self.pass.bounds(edges[0], edges[1]);
            let finite = edges[0] < f32::INFINITY && edges[1] > f32::NEG_INFINITY;
            assert_eq!(bounded.is_ok(), edges[0] <= edges[1] && finite);
            if let Ok(bounded) = bounded {
                (self.pass, self.bounds) = (bounded, Some((edges[0], edges[1])));
            }
        }
        Ok(())
    }

    /// Makes at most one thing wrong.
    fn spoil(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        use Fault::{Average, AverageOfNoPass, Grads, Offset, ReadOnly, Rows, StateCount};
        let fault = *u.choose(&[Grads, Average, AverageOfNoPass, ReadOnly, Rows, Offset, StateCount])?;
        let (zeroes, averages) = (self.zeroes, self.kept.is_some());
        let Some(first) = self.model.first_mut().filter(|_| u.ratio(1, 8).unwrap_or(false)) else {
            return Ok(());
        };
        match fault {
            Grads => first.grads.push_zero(),
            Average => match &mut first.average {
                Some((average, _)) => average.push(0.0),
                None => return Ok(()),
            },
            AverageOfNoPass if averages => return Ok(()),
            AverageOfNoPass => first.average = Some((vec![0.0; first.params.read().len()], 0)),
            ReadOnly if !zeroes => return Ok(()),
            ReadOnly => first.read_only = true,
            Rows => first.rows = Some(0),
            Offset => first.offset = 1,
            StateCount => first.state.push(vec![]),
        }
        self.fault = Some(fault);
        Ok(())
    }

    fn is_started(&self) -> bool {
        let first = |tensor: &&Owned| tensor.next_step(self.step) == 1;
        self.model.iter().filter(first).all(|tensor| tensor.is_started(&self.rule))
    }

    fn run(&self, backend: Backend, way: Way) -> (std::result::Result<PassReport, Error>, Seen) {
        let mut model = self.model.clone();
        let slots: Vec<_> = model.iter().map(|_| TelemetrySlot::default()).collect();
        let more: Vec<_> = model.iter().map(|tensor| tensor.more.clone()).collect();
        let more: Vec<Vec<_>> = more.iter().map(|more| more.iter().map(Numbers::read).collect()).collect();
        let mut tensors: Vec<_> = (model.iter_mut().zip(&more).zip(&slots))
            .map(|((tensor, more), slot)| tensor.tensor(more, slot))
            .collect();
        if way == Way::Reversed {
            tensors.reverse();
        }
        let result = self.step(&Workers::serial().backend(backend), way, &mut tensors);
        if way == Way::Reversed {
            tensors.reverse();
        }
        let skipped = tensors.iter().map(Tensor::skipped).collect();
        let non_finite = tensors.iter().map(Tensor::non_finite).collect();
        let told = slots.iter().map(TelemetrySlot::get).collect();
        let nothing = PassReport {
            refused: false,
            stepped: 0,
            skipped: 0,
            elements: 0,
            non_finite: 0,
            grad_norm: None,
        };
        (result, Seen { model, skipped, non_finite, told, report: result.unwrap_or(nothing) })
    }

    fn step(
        &self,
        workers: &Workers,
        way: Way,
        tensors: &mut [Tensor<'_>],
    ) -> std::result::Result<PassReport, Error> {
        let Self { pass, rule, step, .. } = self;
        if way != Way::InHalves {
            return workers.step_pass(pass, rule, *step, tensors);
        }
        workers.measure_pass(pass, rule, *step, tensors)?;
        let sums: Vec<_> = tensors.iter().map(Tensor::sums).collect();
        tensors.iter_mut().zip(&sums).for_each(|(tensor, sums)| tensor.set_sums(*sums));
        workers.finish_pass(pass, rule, *step, tensors, &sums)
    }

    fn check_refusal(&self) {
        for backend in [Backend::SCALAR, Backend::detect()] {
            let (result, seen) = self.run(backend, Way::AtOnce);
            let error = result.expect_err("something is wrong with the list");
            let shown = format!("{error:?}");
            let expected = match self.fault {
                Some(Fault::Grads | Fault::Average) => "TensorLength",
                Some(Fault::AverageOfNoPass | Fault::ReadOnly) => "Pass",
                Some(Fault::Rows) => "Rows",
                Some(Fault::Offset) => "ShardOffset",
                Some(Fault::StateCount) => "StateCount",
                None => "FirstState",
            };
            let other = !self.started && shown.starts_with("FirstState") || is_unfit(&error);
            assert!(shown.starts_with(expected) || other, "{shown} and not {expected}");
            assert!(!error.to_string().is_empty());
            assert_same_model(&seen.model, &self.model, "refused");
        }
    }

    /// What is promised of a step, whatever the numbers.
    fn check_step(&self, seen: &Seen) {
        let Seen { model, skipped, told, report, .. } = seen;
        assert!(!report.refused || report.non_finite > 0 && skipped.iter().all(|skipped| *skipped));
        assert_eq!(report.skipped, skipped.iter().filter(|skipped| **skipped).count());
        assert_eq!(report.stepped + report.skipped, model.len());
        assert_eq!(report.next_step(self.step) == self.step, report.refused || self.step == u64::MAX);
        for (i, (before, after)) in self.model.iter().zip(model).enumerate() {
            if skipped[i] {
                self.check_left_out(before, after, report.stepped > 0);
                assert_eq!(told[i], Telemetry::default());
            } else {
                self.check_stepped(before, after);
            }
        }
        if self.rule.measures().is_some_and(|measures| measures.scope() == Scope::Together)
            && report.stepped > 0
        {
            let full = full_slots(self.rule.slots());
            let shared =
                |tensor: &Owned| -> Vec<_> { tensor.state[full..].iter().map(|x| bits(x)).collect() };
            model.iter().for_each(|tensor| assert_eq!(shared(tensor), shared(&model[0])));
        }
    }

    /// It is as it was, but for numbers that its rule shares among all tensors.
    fn check_left_out(&self, before: &Owned, after: &Owned, others_stepped: bool) {
        let shares = others_stepped
            && self.rule.measures().is_some_and(|measures| measures.scope() == Scope::Together);
        let shared = self.rule.slots().len() - full_slots(self.rule.slots());
        let [mut before_bits, mut after_bits] = [before, after].map(Owned::bits);
        if shares {
            before_bits.truncate(before_bits.len() - shared);
            after_bits.truncate(after_bits.len() - shared);
        }
        assert_eq!(before_bits, after_bits);
        assert_eq!((before.counter, before.averaged()), (after.counter, after.averaged()));
    }

    fn check_stepped(&self, before: &Owned, after: &Owned) {
        let step = before.next_step(self.step);
        assert_eq!(after.counter, before.counter.map(|_| step));
        let counts = self.kept.is_some_and(|kept| kept.takes_in(step));
        assert_eq!(after.averaged(), before.averaged().map(|count| count.saturating_add(counts.into())));
        if self.zeroes {
            assert!(after.grads.bits().iter().all(|bits| *bits == 0));
        } else {
            assert_eq!(after.grads.bits(), before.grads.bits());
        }
        self.check_params(before, after);
    }

    fn check_params(&self, before: &Owned, after: &Owned) {
        let Numbers::Single(params) = &after.params else { return };
        let step = before.next_step(self.step);
        let kept = self.kept.filter(|_| after.average.is_some());
        if let Some(Numbers::Single(copy)) = &after.copy {
            assert_eq!(bits(copy), bits(params));
        }
        if kept.is_some_and(|kept| kept.overwrites(step)) {
            // The parameters are the average, but within the bounds and the greatest norm of rows.
            return;
        }
        if let Some((low, high)) = self.bounds {
            assert!(params.iter().all(|p| p.is_nan() || low <= *p && *p <= high));
        }
        let Some((kept, (old, averaged))) = kept.zip(before.average.as_ref()) else { return };
        let found = after.average.iter().flat_map(|(average, _)| average);
        for ((param, old), found) in params.iter().zip(old).zip(found) {
            // Beyond that the sum may overflow.
            let ordinary = old.abs() < 1e38 && param.abs() < 1e38;
            let expected = kept.next(step, *averaged, *old, *param);
            assert!(
                !ordinary || bits_of(expected) == bits_of(*found),
                "{found} and not {expected}, {kept:?}"
            );
        }
    }
}

/// Whether the pass asks for what none of these tensors can have.
fn is_unfit(error: &Error) -> bool {
    matches!(error, Error::NoEffect { .. } | Error::FormatBounds { .. })
}

fn check(case: &Case) {
    if case.fault.is_some() || !case.started {
        return case.check_refusal();
    }
    let (result, expected) = case.run(Backend::SCALAR, Way::AtOnce);
    if result.as_ref().is_err_and(is_unfit) {
        return assert_same_model(&expected.model, &case.model, "refused");
    }
    let _ = result.expect("nothing is wrong with the list");
    case.check_step(&expected);
    for backend in Backend::available() {
        case.run(backend, Way::AtOnce).1.assert_same(&expected, &backend.to_string());
    }
    case.run(Backend::detect(), Way::Reversed).1.assert_same(&expected, "reversed");
    let (result, seen) = case.run(Backend::detect(), Way::InHalves);
    match result {
        Ok(_) => seen.assert_same(&expected, "in halves"),
        // Norms of a whole tensor, the rule's own or those of adaptive clipping, cannot be had from shards.
        Err(error) => {
            assert!(matches!(error, Error::Pass { .. }), "{error}");
            assert!(!is_elementwise(&case.rule) || case.model.iter().any(|tensor| tensor.rows.is_none()));
            assert_same_model(&seen.model, &case.model, "in halves");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let data = with_tail(data, 300);
    if let Ok(case) = Case::any(&mut Unstructured::new(&data)) {
        check(&case);
    }
});
