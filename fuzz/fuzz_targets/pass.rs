//! Bytes become a pass, a rule and a model; every backend must then agree with the scalar one bit for bit, what a pass refuses
//! or skips must be as it was, and what it stores between the bounds.

#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use gradstep::{
    AnyRule, Average, Backend, Error, Floats, FloatsMut, Format, Grads, NonFinite, Pass, PassReport,
    PassTensor, Rule, Telemetry, TelemetrySlot, Workers,
};
use libfuzzer_sys::fuzz_target;

#[derive(Clone, Debug)]
struct Case {
    pass: Pass,
    bounds: (f32, f32),
    /// Whether gradients are zeroed whatever becomes of the step.
    always: bool,
    rule: AnyRule,
    step: u64,
    model: Vec<Owned>,
}

/// The bits of the floats are the fuzzer's: NaN, subnormals, all of them.
#[derive(Clone, Debug)]
enum Numbers {
    Single(Vec<f32>),
    Half(Format, Vec<u16>),
}

#[derive(Clone, Debug)]
struct Owned {
    params: Numbers,
    grads: Numbers,
    more: Option<Numbers>,
    state: Vec<Vec<f32>>,
    average: Option<Vec<f32>>,
    copy: Option<Numbers>,
    rows: Option<usize>,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let rule = AnyRule::named(u.choose(AnyRule::NAMES)?).expect("a registered name");
        let averages: bool = u.arbitrary()?;
        let zeroes: bool = u.arbitrary()?;
        let always = zeroes && u.arbitrary()?;
        let (mut pass, bounds) = pass(u)?;
        if averages {
            pass = pass.average(average(u)?);
        }
        if zeroes {
            pass = if always { pass.zero_grads_always() } else { pass.zero_grads() };
        }
        let tensors = u.int_in_range(0..=3)?;
        let model = (0..tensors).map(|_| Owned::any(u, &rule, averages, zeroes)).collect::<Result<_>>()?;
        Ok(Self { pass, bounds, always, rule, step: u.int_in_range(1..=1 << 40)?, model })
    }
}

/// With its bounds. Numbers that are refused leave the pass as it was.
fn pass(u: &mut Unstructured<'_>) -> Result<(Pass, (f32, f32))> {
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
    for setting in settings {
        let value: Option<f64> = u.arbitrary()?;
        pass = value.map_or(pass, |value| setting(pass, value).unwrap_or(pass));
    }
    let policies = [None, Some(NonFinite::Refuse), Some(NonFinite::Skip), Some(NonFinite::Step)];
    pass = u.choose(&policies)?.map_or(pass, |policy| pass.check(policy));
    let mut bounds = (u.arbitrary()?, u.arbitrary()?);
    match pass.bounds(bounds.0, bounds.1) {
        Ok(bounded) => pass = bounded,
        Err(_) => bounds = (f32::NEG_INFINITY, f32::INFINITY),
    }
    pass = if u.arbitrary()? { pass.centralize() } else { pass };
    Ok((if u.arbitrary()? { pass.flush_subnormals() } else { pass }, bounds))
}

fn average(u: &mut Unstructured<'_>) -> Result<Average> {
    let kinds = [Average::exponential, Average::warming_up, Average::power];
    let average = u.choose(&kinds)?(u.arbitrary()?).unwrap_or(Average::mean());
    let mut small = || u.int_in_range(0..=9);
    Ok(average.from_step(small()?).every(small()?).overwrite_every(small()?))
}

impl Numbers {
    fn any(u: &mut Unstructured<'_>, len: usize) -> Result<Self> {
        let mut half = || (0..len).map(|_| u.arbitrary()).collect::<Result<Vec<u16>>>();
        Ok(match half()? {
            bits if bits.first().is_some_and(|bits| bits % 3 == 1) => Self::Half(Format::Bf16, bits),
            bits if bits.first().is_some_and(|bits| bits % 3 == 2) => Self::Half(Format::F16, bits),
            upper => Self::Single(singles(u, &upper)?),
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

    fn values(&self) -> Vec<f32> {
        match self {
            Self::Single(floats) => floats.clone(),
            Self::Half(Format::Bf16, bits) => {
                bits.iter().map(|&b| f32::from_bits(u32::from(b) << 16)).collect()
            }
            Self::Half(Format::F16, bits) => bits.iter().map(|&bits| f16(bits)).collect(),
        }
    }

    fn zero(&mut self) {
        match self {
            Self::Single(floats) => floats.fill(0.0),
            Self::Half(_, bits) => bits.fill(0),
        }
    }

    /// Which NaN is not specified.
    fn bits(&self) -> Vec<u32> {
        match self {
            Self::Single(floats) => floats.iter().map(bits_of).collect(),
            Self::Half(format, bits) => bits.iter().map(|&bits| half_bits(*format, bits)).collect(),
        }
    }
}

/// From the upper halves of their bits.
fn singles(u: &mut Unstructured<'_>, upper: &[u16]) -> Result<Vec<f32>> {
    let single = |&upper: &u16| Ok(f32::from_bits(u32::from(upper) << 16 | u32::from(u.arbitrary::<u16>()?)));
    upper.iter().map(single).collect()
}

fn f16(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        0x1f if fraction > 0.0 => f32::NAN,
        0x1f => f32::INFINITY,
        _ => (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

fn bits_of(x: &f32) -> u32 {
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

fn half_bits(format: Format, bits: u16) -> u32 {
    let infinity = if format == Format::Bf16 { 0x7f80 } else { 0x7c00 };
    if bits & 0x7fff > infinity { 0x7fff } else { bits.into() }
}

impl Owned {
    fn any(u: &mut Unstructured<'_>, rule: &AnyRule, averages: bool, zeroes: bool) -> Result<Self> {
        let len = u.int_in_range(0..=40)?;
        let mut floats =
            |len| (0..len).map(|_| Ok(f32::from_bits(u.arbitrary()?))).collect::<Result<Vec<f32>>>();
        let slots = 0..rule.slots().len();
        let state = slots.map(|slot| floats(rule.slots()[slot].len(len))).collect::<Result<_>>()?;
        let average = if averages { Some(floats(len)?) } else { None };
        let rows = u.int_in_range(1..=len.max(1))?;
        Ok(Self {
            params: Numbers::any(u, len)?,
            grads: Numbers::any(u, len)?,
            more: if zeroes || u.arbitrary()? { None } else { Some(Numbers::any(u, len)?) },
            state,
            average,
            copy: if u.arbitrary()? { Some(Numbers::any(u, len)?) } else { None },
            rows: len.is_multiple_of(rows).then_some(rows),
        })
    }

    fn tensor<'a>(&'a mut self, more: &'a [Floats<'a>], slot: &'a TelemetrySlot) -> PassTensor<'a> {
        let grads = Grads::Write(self.grads.write());
        let state = self.state.iter_mut().map(Vec::as_mut_slice);
        let mut tensor = PassTensor::new(self.params.write(), grads, state).expect("few slices");
        tensor = tensor.more_grads(more).telemetry(slot);
        tensor = self.rows.into_iter().fold(tensor, PassTensor::rows);
        tensor = self.average.iter_mut().fold(tensor, |tensor, average| tensor.average(average));
        self.copy.iter_mut().fold(tensor, |tensor, copy| tensor.copy_out(copy.write()))
    }

    fn bits(&self) -> Vec<Vec<u32>> {
        let numbers = [Some(&self.params), Some(&self.grads), self.copy.as_ref()];
        let singles =
            self.state.iter().chain(&self.average).map(|values| values.iter().map(bits_of).collect());
        numbers.into_iter().flatten().map(Numbers::bits).chain(singles).collect()
    }
}

/// All that can be seen of a step.
#[derive(Debug, PartialEq)]
struct Seen {
    bits: Vec<Vec<Vec<u32>>>,
    skipped: Vec<bool>,
    told: Vec<Telemetry>,
    /// In which two norms that are NaN are the same.
    report: String,
}

impl Case {
    fn run(&mut self, backend: Backend) -> std::result::Result<(Seen, PassReport), Error> {
        let slots: Vec<_> = self.model.iter().map(|_| TelemetrySlot::default()).collect();
        let more: Vec<_> = self.model.iter().map(|tensor| tensor.more.clone()).collect();
        let more: Vec<Vec<_>> = more.iter().map(|more| more.iter().map(Numbers::read).collect()).collect();
        let mut tensors: Vec<_> = (self.model.iter_mut().zip(&more).zip(&slots))
            .map(|((tensor, more), slot)| tensor.tensor(more, slot))
            .collect();
        let workers = Workers::serial().backend(backend);
        let report = workers.step_pass(&self.pass, &self.rule, self.step, &mut tensors)?;
        let skipped = tensors.iter().map(PassTensor::skipped).collect();
        let seen = Seen {
            skipped,
            bits: self.model.iter().map(Owned::bits).collect(),
            told: slots.iter().map(TelemetrySlot::get).collect(),
            report: format!("{report:?}"),
        };
        Ok((seen, report))
    }

    fn bits(&self) -> Vec<Vec<Vec<u32>>> {
        self.model.iter().map(Owned::bits).collect()
    }

    /// A tensor as a step leaves it that leaves it out.
    fn left_out(&self, i: usize) -> Owned {
        let mut tensor = self.model[i].clone();
        if self.always {
            tensor.grads.zero();
        }
        tensor
    }

    fn is_within_bounds(&self, i: usize) -> bool {
        let Owned { params, copy, .. } = &self.model[i];
        let within = |x: &f32| x.is_nan() || self.bounds.0 <= *x && *x <= self.bounds.1;
        [Some(params), copy.as_ref()].into_iter().flatten().all(|numbers| numbers.values().iter().all(within))
    }
}

/// A pass with a part that no tensor has, or with bounds between which a format has no number.
fn is_expected(error: Error) -> bool {
    matches!(error, Error::NoEffect { .. } | Error::FormatBounds { .. })
}

fuzz_target!(|case: Case| {
    let mut stepped = case.clone();
    let (expected, report) = match stepped.run(Backend::SCALAR) {
        Ok(seen) => seen,
        Err(error) => {
            assert!(is_expected(error), "{error}");
            return assert_eq!(stepped.bits(), case.bits(), "refused: {error}");
        }
    };
    assert!(!report.refused || expected.skipped.iter().all(|skipped| *skipped));
    assert!(!report.refused || report.non_finite > 0);
    for (i, skipped) in expected.skipped.iter().enumerate() {
        if *skipped {
            assert_eq!(case.left_out(i).bits(), expected.bits[i], "tensor {i} was left out");
            assert_eq!(expected.told[i], Telemetry::default());
        } else {
            assert!(stepped.is_within_bounds(i), "tensor {i} is not within {:?}", case.bounds);
        }
    }
    for backend in Backend::available() {
        assert_eq!(case.clone().run(backend).map(|(seen, _)| seen).as_ref(), Ok(&expected), "{backend}");
    }
});
