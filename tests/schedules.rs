//! Learning-rate schedules against PyTorch's numbers, their refusals, their extremes and their bits.

use std::str::FromStr;

use gradstep::{
    Domain, Error,
    schedule::{
        Constant, Cosine, Cyclic, CyclicMode, Exponential, InverseSqrt, Lambda, Linear, Mode, MultiStep,
        OneCycle, Plateau, PlateauState, Polynomial, Schedule, Shape, StepDecay, Threshold, WarmRestarts,
        Warmup, WarmupStableDecay,
    },
};
use proptest::prelude::*;

/// A line of `golden/schedules.csv`, which `golden/schedules.py` describes.
struct Record {
    kind: &'static str,
    settings: Vec<(&'static str, &'static str)>,
    values: Vec<f64>,
}

impl Record {
    fn parse(line: &'static str) -> Self {
        let mut record = Self { kind: "", settings: vec![], values: vec![] };
        for (column, field) in line.split(',').enumerate() {
            match field.split_once('=') {
                _ if column == 0 => record.kind = field,
                Some(setting) => record.settings.push(setting),
                None => record.values.push(field.parse().unwrap()),
            }
        }
        record
    }

    fn text(&self, name: &str) -> &'static str {
        let setting = self.settings.iter().find(|(key, _)| *key == name);
        setting.unwrap_or_else(|| panic!("{} without {name}", self.kind)).1
    }

    fn get<T: FromStr>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_else(|_| panic!("{}: {name}={}", self.kind, self.text(name)))
    }

    fn shape(&self, name: &str) -> Shape {
        match self.text(name) {
            "linear" => Shape::Linear,
            "cos" | "cosine" => Shape::Cosine,
            "sqrt" => Shape::Sqrt,
            other => panic!("shape {other}"),
        }
    }

    /// The schedule, and what its base learning rate is.
    fn schedule(&self) -> Result<(Box<dyn Schedule>, f64), Error> {
        let r = self;
        let schedule: Box<dyn Schedule> = match r.kind {
            "constant" => Box::new(Constant::new(r.get("factor"))?.until(r.get("until"))?),
            "exponential" => Box::new(Exponential::new(r.get("gamma"))?),
            "step_decay" => Box::new(StepDecay::new(r.get("every"), r.get("gamma"))?),
            "multi_step" => Box::new(MultiStep::new(r.milestones(), r.get("gamma"))?),
            "linear" => Box::new(Linear::new(r.get("start"), r.get("end"), r.get("steps"))?),
            "polynomial" => Box::new(Polynomial::new(r.get("steps"), r.get("power"))?),
            "cosine" => Box::new(Cosine::new(r.get("steps"), r.get("min"))?.periodic()),
            "warm_restarts" => Box::new(WarmRestarts::new(r.get("first"), r.get("mult"), r.get("min"))?),
            "one_cycle" => Box::new(r.one_cycle()?),
            "cyclic" => Box::new(r.cyclic()?),
            "warmup" => r.warmup()?,
            "wsd" => Box::new(r.warmup_stable_decay()?),
            "inverse_sqrt" => Box::new(InverseSqrt::new(r.get("warmup"))?),
            "noam" => Box::new(InverseSqrt::noam(r.get("warmup"))?),
            "sequence" | "product" => combination(r.text("of"))?,
            kind => panic!("no schedule {kind}"),
        };
        let base = match r.kind {
            "noam" => 1.0 / (r.get::<f64>("d_model") * r.get::<f64>("warmup")).sqrt(),
            _ => r.get("base"),
        };
        Ok((schedule, base))
    }

    fn milestones(&self) -> &'static [u64] {
        let milestones: Vec<u64> = self.text("milestones").split(';').map(|m| m.parse().unwrap()).collect();
        milestones.leak()
    }

    fn one_cycle(&self) -> Result<OneCycle, Error> {
        OneCycle::new(self.get("steps"))?
            .pct_start(self.get("pct_start"))?
            .anneal(self.shape("anneal"))
            .div_factor(self.get("div_factor"))?
            .final_div_factor(self.get("final_div_factor"))
            .map(|schedule| schedule.three_phase(self.text("three_phase") == "True"))
    }

    fn cyclic(&self) -> Result<Cyclic, Error> {
        let mode = match self.text("mode") {
            "triangular" => CyclicMode::Triangular,
            "triangular2" => CyclicMode::Triangular2,
            _ => CyclicMode::ExpRange(self.get("gamma")),
        };
        Cyclic::new(self.get("up"), self.get("low"), self.get("high"))?.down(self.get("down"))?.mode(mode)
    }

    fn warmup(&self) -> Result<Box<dyn Schedule>, Error> {
        let (steps, start) = (self.get("steps"), self.get("start"));
        Ok(match self.get("then") {
            0 => Box::new(Warmup::new(steps, start, Exponential::new(0.95)?)?),
            then => Box::new(Warmup::new(steps, start, Cosine::new(then, 0.0)?.periodic())?),
        })
    }

    fn warmup_stable_decay(&self) -> Result<WarmupStableDecay, Error> {
        let (warmup, stable, decay) = (self.get("warmup"), self.get("stable"), self.get("decay"));
        let min = self.get("min");
        WarmupStableDecay::new(warmup, stable, decay, self.shape("shape"))?.start(min)?.min(min)
    }

    fn plateau(&self) -> Result<Plateau, Error> {
        let threshold = match self.text("relative") {
            "True" => Threshold::Relative(self.get("threshold")),
            _ => Threshold::Absolute(self.get("threshold")),
        };
        Plateau::torch()
            .mode(if self.text("mode") == "max" { Mode::Max } else { Mode::Min })
            .patience(self.get("patience"))
            .cooldown(self.get("cooldown"))
            .gamma(self.get("gamma"))?
            .threshold(threshold)?
            .min(self.get("min"))?
            .eps(self.get("eps"))
    }
}

fn combination(name: &str) -> Result<Box<dyn Schedule>, Error> {
    Ok(match name {
        "linear-cosine-step" => Box::new(
            Linear::new(0.2, 1.0, 8)?
                .then(12, Cosine::new(30, 0.1)?.periodic())
                .then(50, StepDecay::new(9, 0.5)?),
        ),
        "restarts-polynomial" => Box::new(WarmRestarts::new(6, 2, 0.0)?.then(33, Polynomial::new(40, 1.5)?)),
        "constant-exponential" => Box::new(Constant::new(0.1)?.until(15)?.times(Exponential::new(0.93)?)),
        "linear-cosine-multi_step" => Box::new(
            Linear::new(0.25, 1.0, 20)?.times(Cosine::new(90, 0.0)?).times(MultiStep::new(&[50, 70], 0.4)?),
        ),
        _ => panic!("no combination {name}"),
    })
}

fn records() -> impl Iterator<Item = Record> {
    let lines = include_str!("golden/schedules.csv").lines();
    lines.filter(|line| !line.starts_with('#')).map(Record::parse)
}

/// PyTorch computes a one-cycle line as `(end - start) * p + start`. Where the end is 4e-7 of the start, that leaves it
/// 10 digits, though the error is of the size that is usual beside the start.
fn is_cancelled(record: &Record, ours: f64, theirs: f64, base: f64) -> bool {
    let line = record.kind == "one_cycle" && record.text("anneal") == "linear";
    line && (ours - theirs).abs() <= 2e-16 * base
}

/// PyTorch takes many of its schedules from step to step, and none drifts further than this in 100 of them.
fn agree(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= 1e-12 * theirs.abs()
}

#[test]
fn pytorch_has_the_same_learning_rates() {
    let mut count = 0;
    for record in records().filter(|record| record.kind != "plateau") {
        let (schedule, base) = record.schedule().unwrap();
        assert!(record.values.len() >= 60);
        for (step, &theirs) in record.values.iter().enumerate() {
            let ours = schedule.lr(base, step as u64);
            let same = agree(ours, theirs) || is_cancelled(&record, ours, theirs, base);
            assert!(same, "{} {:?} at {step}: {ours} and not {theirs}", record.kind, record.settings);
        }
        count += 1;
    }
    assert_eq!(count, 82);
}

#[test]
fn pytorch_reduces_on_the_same_plateaus() {
    let mut count = 0;
    for record in records().filter(|record| record.kind == "plateau") {
        let mut plateau = record.plateau().unwrap();
        let base: f64 = record.get("base");
        for (epoch, pair) in record.values.chunks(2).enumerate() {
            let (ours, theirs) = (base * plateau.observe(pair[0]), pair[1]);
            assert!(agree(ours, theirs), "{:?} at {epoch}: {ours} and not {theirs}", record.settings);
        }
        assert!(plateau.factor(0) < 0.1, "{:?} never lay still for long", record.settings);
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn what_pytorch_does_not_have() -> Result<(), Error> {
    let held = Cosine::new(10, 0.25)?;
    assert_eq!([9, 10, 11, 20].map(|t| held.factor(t) > 0.25), [true, false, false, false]);
    assert_eq!([10, 20, 30].map(|t| held.periodic().factor(t)), [0.25, 1.0, 0.25]);
    assert_eq!(held.periodic().factor(17), held.factor(3));

    let smooth = Exponential::new(0.5)?.over(10)?;
    assert_eq!([0, 10, 30].map(|t| smooth.factor(t)), [1.0, 0.5, 0.125]);
    assert!(agree(smooth.factor(25), 0.5_f64.powf(2.5)));

    // Not 0.7 + (0.05 - 0.7), which is another number.
    assert_eq!(Linear::new(0.7, 0.05, 10)?.factor(10), 0.05);
    let lifted = Polynomial::new(10, 2.0)?.end(0.5)?;
    assert_eq!([0, 5, 10, 11].map(|t| lifted.factor(t)), [1.0, 0.625, 0.5, 0.5]);

    assert_eq!([0, 10].map(|t| Constant::new(0.5).unwrap().factor(t)), [0.5, 0.5]);
    assert_eq!(Warmup::new(0, 0.5, held)?.factor(3), held.factor(3));
    assert_eq!(WarmupStableDecay::new(0, 0, 4, Shape::Linear)?.factor(1), 0.75);
    assert_eq!(WarmupStableDecay::new(4, 0, 4, Shape::Linear)?.start(0.5)?.factor(2), 0.75);
    assert_eq!([9, 10].map(|t| OneCycle::new(10).unwrap().factor(t)), [4e-6, 4e-6]);
    // PyTorch divides by zero at step 0, when the first phase ends there.
    assert_eq!(OneCycle::new(10)?.pct_start(0.1)?.factor(0), 1.0);
    Ok(())
}

#[test]
fn schedules_combine_by_reference_and_at_run_time() -> Result<(), Error> {
    let mut plateau = Plateau::torch().patience(0).gamma(0.5)?;
    assert_eq!([1.0, 1.0].map(|loss| plateau.observe(loss)), [1.0, 0.5]);
    let alternating: fn(u64) -> f64 = |step| if step % 2 == 0 { 1.0 } else { 0.25 };
    let chosen: &dyn Schedule = &Lambda(alternating);
    let schedule = Linear::new(0.0, 1.0, 2)?.then(2, chosen).times(&plateau);
    assert_eq!([0, 1, 2, 3, 4].map(|t| schedule.factor(t)), [0.0, 0.25, 0.5, 0.125, 0.5]);
    assert_eq!(schedule.lr(0.5, 4), 0.25);
    Ok(())
}

#[test]
fn a_plateau_goes_on_from_a_saved_state() -> Result<(), Error> {
    let settings = Plateau::torch().patience(1).cooldown(2).gamma(0.5)?;
    let mut through = settings;
    for metric in [5.0, 4.0, 4.0, 4.0, 4.0, f64::NAN, f64::NEG_INFINITY, 3.9, 3.8, 3.8, 3.8, 3.8, 3.8, 3.8] {
        let mut resumed = settings.restore(through.state())?;
        assert_eq!(resumed.observe(metric), through.observe(metric));
        assert_eq!(resumed, through);
    }
    let expected = PlateauState { factor: 0.25, best: Some(3.8), bad: 1, cooldown: 0 };
    assert_eq!(through.state(), expected);

    let refused = |state| settings.restore(state).unwrap_err().to_string();
    let state = through.state();
    assert_eq!(
        refused(PlateauState { factor: 1.5, ..state }),
        "plateau: factor must be from 0 to 1, and is 1.5"
    );
    assert_eq!(
        refused(PlateauState { best: Some(f64::INFINITY), ..state }),
        "plateau: best must be finite, and is inf"
    );
    Ok(())
}

/// The schedule, the setting, and the value of a refusal.
fn refused<S>(result: Result<S, Error>) -> (&'static str, &'static str, f64) {
    match result.err().expect("not refused") {
        Error::OutOfRange { rule, option, value, domain } => {
            assert!(!domain.contains(value));
            (rule, option, value)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_steps() {
    let cosine = Cosine::new(1, 0.0).unwrap();
    let cyclic = Cyclic::new(1, 0.0, 1.0).unwrap();
    assert_eq!(refused(Constant::new(1.0).unwrap().until(0)), ("constant", "until", 0.0));
    assert_eq!(refused(Exponential::new(0.5).unwrap().over(0)), ("exponential", "over", 0.0));
    assert_eq!(refused(StepDecay::new(0, 0.5)), ("step-decay", "every", 0.0));
    assert_eq!(refused(Linear::new(0.0, 1.0, 0)), ("linear", "steps", 0.0));
    assert_eq!(refused(Polynomial::new(0, 1.0)), ("polynomial", "steps", 0.0));
    assert_eq!(refused(Cosine::new(0, 0.0)), ("cosine", "steps", 0.0));
    assert_eq!(refused(WarmRestarts::new(0, 1, 0.0)), ("warm-restarts", "first", 0.0));
    assert_eq!(refused(WarmRestarts::new(1, 0, 0.0)), ("warm-restarts", "mult", 0.0));
    assert_eq!(refused(OneCycle::new(0)), ("one-cycle", "steps", 0.0));
    assert_eq!(refused(Cyclic::new(0, 0.0, 1.0)), ("cyclic", "up", 0.0));
    assert_eq!(refused(cyclic.down(0)), ("cyclic", "down", 0.0));
    assert_eq!(refused(Warmup::new(0, -1.0, cosine)), ("warmup", "start", -1.0));
    assert_eq!(
        refused(WarmupStableDecay::new(1, 1, 0, Shape::Linear)),
        ("warmup-stable-decay", "decay", 0.0)
    );
    assert_eq!(refused(InverseSqrt::new(0)), ("inverse-sqrt", "warmup", 0.0));
    assert_eq!(refused(InverseSqrt::noam(0)), ("inverse-sqrt", "warmup", 0.0));
}

/// What a setting takes, its name, and what became of it.
type Setting = (&'static str, Result<(), Error>);

/// What each setting that is a number makes of `x`.
fn settings(x: f64) -> Result<Vec<Setting>, Error> {
    fn drop_value<S>(result: Result<S, Error>) -> Result<(), Error> {
        result.map(|_| ())
    }
    let one_cycle = OneCycle::new(9)?;
    let wsd = WarmupStableDecay::new(1, 1, 1, Shape::Linear)?;
    Ok(vec![
        ("factor factor", drop_value(Constant::new(x))),
        ("positive gamma", drop_value(Exponential::new(x))),
        ("positive gamma", drop_value(StepDecay::new(1, x))),
        ("positive gamma", drop_value(MultiStep::new(&[1], x))),
        ("factor start", drop_value(Linear::new(x, 1.0, 1))),
        ("factor end", drop_value(Linear::new(1.0, x, 1))),
        ("positive power", drop_value(Polynomial::new(1, x))),
        ("factor end", drop_value(Polynomial::new(1, 1.0)?.end(x))),
        ("unit min", drop_value(Cosine::new(1, x))),
        ("unit min", drop_value(WarmRestarts::new(1, 1, x))),
        ("unit pct_start", drop_value(one_cycle.pct_start(x))),
        ("positive div_factor", drop_value(one_cycle.div_factor(x))),
        ("positive final_div_factor", drop_value(one_cycle.final_div_factor(x))),
        ("factor low", drop_value(Cyclic::new(1, x, 1.0))),
        ("factor high", drop_value(Cyclic::new(1, 1.0, x))),
        ("positive unit gamma", drop_value(Cyclic::new(1, 1.0, 2.0)?.mode(CyclicMode::ExpRange(x)))),
        ("factor start", drop_value(Warmup::new(1, x, one_cycle))),
        ("factor start", drop_value(wsd.start(x))),
        ("unit min", drop_value(wsd.min(x))),
        ("below-one gamma", drop_value(Plateau::torch().gamma(x))),
        ("below-one threshold", drop_value(Plateau::torch().threshold(Threshold::Relative(x)))),
        ("factor threshold", drop_value(Plateau::torch().threshold(Threshold::Absolute(x)))),
        ("unit min", drop_value(Plateau::torch().min(x))),
        ("factor eps", drop_value(Plateau::torch().eps(x))),
    ])
}

#[test]
fn numbers_outside_their_domain() -> Result<(), Error> {
    let allowed = |kind: &str, x: f64| match kind {
        "positive" => x > 0.0 && x.is_finite(),
        "factor" => Domain::NonNegative.contains(x),
        "unit" => Domain::Unit.contains(x),
        "below-one" => Domain::BelowOne.contains(x),
        _ => panic!("no kind {kind}"),
    };
    for x in [f64::NAN, f64::NEG_INFINITY, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 1.1, 1e300, f64::INFINITY] {
        for (setting, result) in settings(x)? {
            let (kinds, name) = setting.rsplit_once(' ').unwrap();
            if kinds.split(' ').all(|kind| allowed(kind, x)) {
                assert_eq!(result, Ok(()), "{setting} {x}");
            } else {
                let (_, option, value) = refused(result);
                assert_eq!((option, value.to_bits()), (name, x.to_bits()));
            }
        }
    }
    assert_eq!(
        StepDecay::new(10, -0.5).unwrap_err().to_string(),
        "step-decay: gamma must be finite and above 0, and is -0.5"
    );
    Ok(())
}

/// Whatever can be made of two lengths and two factors.
fn schedules(n: u64, m: u64, a: f64, b: f64) -> Vec<Box<dyn Schedule>> {
    fn push<S: Schedule + 'static>(all: &mut Vec<Box<dyn Schedule>>, schedule: Result<S, Error>) {
        if let Ok(schedule) = schedule {
            all.push(Box::new(schedule));
        }
    }
    let all = &mut vec![];
    push(all, Constant::new(a).and_then(|s| s.until(n)));
    push(all, Exponential::new(a));
    push(all, Exponential::new(a).and_then(|s| s.over(n)));
    push(all, StepDecay::new(n, a));
    push(all, MultiStep::new(&[0, 0, 1, u64::MAX], a));
    push(all, Linear::new(a, b, n));
    push(all, Polynomial::new(n, a).and_then(|s| s.end(b)));
    push(all, Cosine::new(n, a));
    push(all, Cosine::new(n, a).map(Cosine::periodic));
    push(all, WarmRestarts::new(n, m, a));
    push(all, InverseSqrt::new(n));
    push(all, InverseSqrt::noam(n));
    for shape in [Shape::Linear, Shape::Cosine, Shape::Sqrt] {
        push(all, WarmupStableDecay::new(n, m, n, shape).and_then(|s| s.start(a)?.min(b)));
        for three_phase in [false, true] {
            let cycle = OneCycle::new(n).map(|s| s.anneal(shape).three_phase(three_phase));
            push(all, cycle.and_then(|s| s.div_factor(a)?.final_div_factor(b)));
            push(all, cycle.and_then(|s| s.pct_start(a)?.final_div_factor(b)));
        }
    }
    for mode in [CyclicMode::Triangular, CyclicMode::Triangular2, CyclicMode::ExpRange(0.5)] {
        push(all, Cyclic::new(n, a, b).and_then(|s| s.down(m)?.mode(mode)));
    }
    push(all, Linear::new(a, b, n).map(|s| s.then(m, InverseSqrt::new(n).unwrap())));
    std::mem::take(all)
}

#[test]
fn no_step_and_no_setting_is_too_extreme() {
    let lengths = [1, 2, 3, 1 << 53, u64::MAX - 1, u64::MAX];
    let factors = [0.0, f64::from_bits(1), f64::MIN_POSITIVE, 0.3, 1.0, 1.0 + f64::EPSILON, f64::MAX];
    let steps = [0, 1, 2, 3, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    let pairs = |i: usize, len| (i / len, i % len);
    for i in 0..lengths.len() * lengths.len() {
        let (n, m) = pairs(i, lengths.len());
        for j in 0..factors.len() * factors.len() {
            let (a, b) = pairs(j, factors.len());
            for (k, schedule) in schedules(lengths[n], lengths[m], factors[a], factors[b]).iter().enumerate()
            {
                for step in steps {
                    let factor = schedule.factor(step);
                    let at = (lengths[n], lengths[m], factors[a], factors[b], step);
                    assert!((0.0..=f64::MAX).contains(&factor), "schedule {k} of {at:?} is {factor}");
                }
            }
        }
    }
}

#[test]
fn products_stay_finite() -> Result<(), Error> {
    let large = Constant::new(f64::MAX)?.times(Constant::new(2.0)?);
    assert_eq!(large.factor(0), f64::MAX);
    // Infinity times 0 would be NaN.
    assert_eq!(large.times(Constant::new(0.0)?).factor(0), 0.0);
    assert!(Lambda(|_| f64::NAN).times(large).factor(0).is_nan());
    Ok(())
}

#[test]
fn counters_do_not_wrap() -> Result<(), Error> {
    let root = 2f64.powi(-32);
    assert_eq!(InverseSqrt::noam(1)?.factor(u64::MAX), root);
    let state = PlateauState { factor: 1.0, best: Some(1.0), bad: u64::MAX, cooldown: 0 };
    let mut plateau = Plateau::torch().patience(u64::MAX).restore(state)?;
    assert_eq!((plateau.observe(2.0), plateau.state()), (1.0, state));
    // A cycle that is longer than all steps there are has its peak at the last of them, and then comes down.
    assert_eq!(Cyclic::new(u64::MAX, 0.0, 1.0)?.factor(u64::MAX), 1.0);
    assert_eq!(Cyclic::new(1 << 63, 0.0, 1.0)?.factor(u64::MAX), root * root * 2.0);
    // The last step is the last factor's, though an f64 does not tell it from the one before.
    let steps = (1 << 54) + 3;
    let cycle = OneCycle::new(steps)?.anneal(Shape::Sqrt).div_factor(0.25)?.final_div_factor(0.0078125)?;
    assert_eq!(cycle.factor(steps - 1), 512.0);
    Ok(())
}

#[test]
fn a_plateau_bears_extremes() -> Result<(), Error> {
    let extremes =
        [f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MIN_POSITIVE];
    for mode in [Mode::Min, Mode::Max] {
        let state = PlateauState { factor: 1.0, best: None, bad: u64::MAX, cooldown: 1 };
        let patient = Plateau::torch().mode(mode).patience(u64::MAX).cooldown(u64::MAX).restore(state)?;
        let hasty = Plateau::torch().mode(mode).patience(0).threshold(Threshold::Absolute(f64::MAX))?;
        for mut plateau in [patient, hasty] {
            for metric in extremes {
                assert!((0.0..=1.0).contains(&plateau.observe(metric)));
                assert!(plateau.state().best.is_none_or(f64::is_finite));
            }
        }
    }
    Ok(())
}

/// These bits are a promise: the same on every machine, in every version to come.
#[test]
fn bits() -> Result<(), Error> {
    let one_cycle = OneCycle::new(100)?;
    let sqrt = WarmupStableDecay::new(3, 5, 70, Shape::Sqrt)?;
    let restarts = WarmRestarts::new(7, 3, 0.05)?;
    let table: [(&dyn Schedule, u64, u64); 17] = [
        (&Exponential::new(0.99)?, 1000, 0x3f06_a258_c41b_e0da),
        (&Exponential::new(0.3)?.over(1000)?, 1, 0x3fef_f624_9afa_2715),
        (&Exponential::new(0.3)?.over(1000)?, 12_345, 0x3e97_8aba_e76d_2ffb),
        (&StepDecay::new(7, 0.95)?, 300, 0x3fbd_b102_c766_a546),
        (&Linear::new(1.0 / 3.0, 1.0, 7)?, 4, 0x3fe6_db6d_b6db_6db7),
        (&Linear::new(0.1, 1.0, 900_000_001)?, 700_000_001, 0x3fe9_9999_99b8_245a),
        (&Polynomial::new(60, 0.9)?, 17, 0x3fe7_b5d0_8bcd_94ef),
        (&Polynomial::new(1000, 3.7)?, 999, 0x3da1_77ab_a121_2dd9),
        (&Cosine::new(1000, 0.1)?, 1, 0x3fef_fffb_57ca_edb2),
        (&Cosine::new(1000, 0.1)?, 333, 0x3fe8_d024_6627_252d),
        (&Cosine::new(1000, 0.0)?, 999, 0x3ec4_b2b2_fc02_d8d6),
        (&restarts, 20, 0x3fd6_7e5e_b91a_c26d),
        (&one_cycle, 10, 0x3fd2_e3f7_5467_2382),
        (&one_cycle, 98, 0x3f40_a0ec_2dad_024a),
        (&one_cycle.three_phase(true), 40, 0x3fe6_5348_4e92_3a4b),
        (&sqrt, 50, 0x3fcc_da04_2f02_36e0),
        (&InverseSqrt::noam(4000)?, 100_000, 0x3fc9_9991_3621_e8c5),
    ];
    for (row, (schedule, step, bits)) in table.into_iter().enumerate() {
        let found = schedule.factor(step).to_bits();
        assert_eq!(found, bits, "row {row}: {found:#018x} and not {bits:#018x}");
    }
    Ok(())
}

/// Few steps, many, and as many as there are.
fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![
        1..200_u64,
        any::<u64>().prop_map(|n| n.max(1)),
        (0..3_u64).prop_map(|less| u64::MAX - less),
        (0..5_u64).prop_map(|more| (1 << 53) - 2 + more),
    ]
}

/// Ordinary factors, the ends of what there is, and all magnitudes between.
fn any_factor() -> impl Strategy<Value = f64> {
    let edges = [
        0.0,
        f64::from_bits(1),
        f64::MIN_POSITIVE,
        0.5,
        1.0 - f64::EPSILON,
        1.0,
        1.0 + f64::EPSILON,
        f64::MAX,
    ];
    prop_oneof![0.0..2.0_f64, prop::sample::select(edges.to_vec()), prop::num::f64::POSITIVE]
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop::sample::select(vec![Shape::Linear, Shape::Cosine, Shape::Sqrt])
}

/// A schedule, where the settings were taken, and factors that its documentation promises.
fn meets<S: Schedule>(schedule: &Result<S, Error>, promised: &[(Option<u64>, f64)]) {
    let Ok(schedule) = schedule else { return };
    for &(step, factor) in promised {
        if let Some(step) = step {
            assert_eq!(schedule.factor(step), factor, "at {step}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn end_values_are_met(n in any_count(), m in any_count(), a in any_factor(), b in any_factor(), shape in any_shape()) {
        let last = Some(u64::MAX);
        meets(&Constant::new(a)?.until(n), &[(Some(0), a), (Some(n - 1), a), (Some(n), 1.0), (last, 1.0)]);
        meets(&Exponential::new(a).and_then(|s| s.over(n)), &[(Some(0), 1.0), (Some(n), a)]);
        meets(&StepDecay::new(n, a), &[(Some(0), 1.0), (Some(n - 1), 1.0), (Some(n), a)]);
        meets(&MultiStep::new(&[n], a), &[(Some(n - 1), 1.0), (Some(n), a), (last, a)]);
        meets(&Linear::new(a, b, n), &[(Some(0), a), (Some(n), b), (last, b)]);
        meets(&Polynomial::new(n, a).and_then(|s| s.end(b)), &[(Some(0), 1.0), (Some(n), b), (last, b)]);
        meets(&Cosine::new(n, a), &[(Some(0), 1.0), (Some(n), a), (last, a)]);
        meets(&Cosine::new(n, a).map(Cosine::periodic), &[(Some(n), a), (n.checked_mul(2), 1.0)]);
        meets(&WarmRestarts::new(n, m, a), &[(Some(0), 1.0), (Some(n), 1.0)]);
        meets(&InverseSqrt::new(n), &[(Some(0), 0.0), (Some(n), 1.0)]);
        meets(&InverseSqrt::noam(n), &[(Some(n - 1), 1.0)]);
        meets(&Warmup::new(n, a, Constant::new(b)?), &[(Some(0), a), (Some(n), b), (last, b)]);
        meets(&Warmup::new(0, a, Constant::new(b)?), &[(Some(0), b)]);
        let level = n.checked_add(m);
        let end = level.and_then(|level| level.checked_add(n));
        let trapezoid = WarmupStableDecay::new(n, m, n, shape).and_then(|s| s.start(a)?.min(b));
        meets(&trapezoid, &[(Some(0), a), (Some(n), 1.0), (level, 1.0), (end, b)]);
        let cycles = Cyclic::new(n, a, b).and_then(|s| s.down(m));
        meets(&cycles, &[(Some(0), a), (Some(n), b), (level, a)]);
        let product = Linear::new(a, b, n)?.times(Constant::new(b)?);
        prop_assert_eq!(product.factor(n), (b * b).min(f64::MAX));
        let sequence = Constant::new(a)?.then(n, Linear::new(b, a, m)?);
        prop_assert_eq!([n - 1, n].map(|step| sequence.factor(step)), [a, b]);
    }

    /// Unless the first phases leave no room for the last one.
    #[test]
    fn one_cycle_ends_where_it_says(
        n in any_count(),
        pct_start in prop_oneof![0.0..=1.0_f64, Just(0.0), Just(0.5), Just(1.0)],
        div in any_factor(),
        final_div in any_factor(),
        shape in any_shape(),
        three_phase: bool,
    ) {
        let schedule = OneCycle::new(n)?.pct_start(pct_start)?.anneal(shape).three_phase(three_phase);
        let Ok(schedule) = schedule.div_factor(div).and_then(|s| s.final_div_factor(final_div)) else { return Ok(()) };
        let end = (n - 1) as f64;
        let peak = pct_start * n as f64 - 1.0;
        let back = 2.0 * pct_start * n as f64 - 2.0;
        let low = (1.0 / div).min(f64::MAX);
        if peak > 0.0 {
            prop_assert_eq!(schedule.factor(0), low);
        }
        if peak < end && !(three_phase && back >= end) {
            prop_assert_eq!(schedule.factor(n - 1), (low / final_div).min(f64::MAX));
        } else if pct_start == 1.0 && n < 1 << 53 {
            // From there on an `f64` does not tell the last step from the one before.
            prop_assert!(three_phase || schedule.factor(n - 1) == 1.0);
        }
        prop_assert_eq!(schedule.factor(u64::MAX), schedule.factor(n - 1), "it stays");
    }

    /// No factor leaves the range of the two that it goes between.
    #[test]
    fn factors_lie_between_their_ends(
        n in any_count(),
        m in any_count(),
        a in any_factor(),
        b in any_factor(),
        step in any_count(),
    ) {
        let within = |schedule: &dyn Schedule, ends: [f64; 2]| {
            let factor = schedule.factor(step);
            let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            prop_assert!(low * (1.0 - 1e-15) <= factor, "{factor} is below {low} at {step}");
            prop_assert!(factor <= high * (1.0 + 1e-15) && factor.is_finite(), "{factor} is above {high} at {step}");
            Ok(())
        };
        within(&Linear::new(a, b, n)?, [a, b])?;
        within(&Cyclic::new(n, a, b)?.down(m)?, [a, b])?;
        if let Ok(schedule) = Cosine::new(n, a) {
            within(&schedule, [a, 1.0])?;
            within(&schedule.periodic(), [a, 1.0])?;
            within(&WarmRestarts::new(n, m, a)?, [a, 1.0])?;
        }
        if let Ok(schedule) = Polynomial::new(n, b) {
            within(&schedule.end(a)?, [a, 1.0])?;
        }
        within(&InverseSqrt::new(n)?, [0.0, 1.0])?;
        within(&InverseSqrt::noam(n)?, [0.0, 1.0])?;
    }

    /// From any state that is taken, with any settings, whatever the metrics.
    #[test]
    fn a_plateau_works_from_every_restored_state(
        factor in any_factor(),
        best in prop::option::of(prop::num::f64::ANY),
        bad in prop_oneof![0..20_u64, any_count()],
        cooldown in prop_oneof![0..20_u64, any_count()],
        patience in prop_oneof![0..5_u64, any_count()],
        wait in prop_oneof![0..5_u64, any_count()],
        gamma in 0.0..1.0_f64,
        min in 0.0..=1.0_f64,
        metrics in prop::collection::vec(prop_oneof![-2.0..2.0_f64, prop::num::f64::ANY], 0..60),
        max: bool,
    ) {
        let settings = Plateau::torch().patience(patience).cooldown(wait).gamma(gamma)?.min(min)?;
        let settings = settings.mode(if max { Mode::Max } else { Mode::Min });
        let state = PlateauState { factor, best, bad, cooldown };
        let restored = settings.restore(state);
        prop_assert_eq!(restored.is_ok(), factor <= 1.0 && best.is_none_or(f64::is_finite));
        let Ok(mut plateau) = restored else { return Ok(()) };
        prop_assert_eq!(plateau.state(), state);
        for metric in metrics {
            let mut resumed = settings.restore(plateau.state())?;
            let before = plateau.factor(0);
            let now = plateau.observe(metric);
            prop_assert_eq!(resumed.observe(metric), now);
            prop_assert_eq!(resumed, plateau);
            prop_assert!(now == before || min <= now && now < before, "{} from {}", now, before);
            prop_assert!(plateau.state().best.is_none_or(f64::is_finite));
        }
    }
}
