//! Bytes become a schedule, with settings sane and absurd, and steps; it must have the values of its documented formula, here
//! in plain code on the platform's functions, or be refused for the first setting that is out of range. A plateau is compared
//! with a twin that counts metrics in another way. A loss scaler with any settings, restored from any state, must be refused or
//! work for ever.

#![no_main]

use std::f64::consts::PI;

use arbitrary::{Result, Unstructured};
use gradstep::{
    Domain, Error, LossScaler, Pass,
    schedule::{
        Constant, Cosine, Cyclic, CyclicMode, Exponential, InverseSqrt, Linear, Mode, MultiStep, OneCycle,
        Plateau, PlateauState, Polynomial, Schedule, Shape, StepDecay, Threshold, WarmRestarts, Warmup,
        WarmupStableDecay,
    },
};
use gradstep_fuzz::{count, limits, number, with_tail};
use libfuzzer_sys::fuzz_target;

/// A schedule, and what is known of it without it.
struct Case {
    label: String,
    built: std::result::Result<Any, Error>,
    /// In the order in which they are looked at.
    settings: Vec<Setting>,
    /// Asked only where all settings are in range.
    formula: Box<dyn Fn(u64) -> Near>,
    /// Between which factors it stays.
    range: (f64, f64),
    /// Factors that it has to the bit.
    exact: Vec<(u64, f64)>,
}

struct Any(Box<dyn Schedule>);

impl Schedule for Any {
    fn factor(&self, step: u64) -> f64 {
        self.0.factor(step)
    }
}

fn any<S: Schedule + 'static>(schedule: S) -> Any {
    Any(Box::new(schedule))
}

/// Its name, its value, and what is accepted.
type Setting = (&'static str, f64, Domain);

fn steps(name: &'static str, steps: u64) -> Setting {
    (name, steps as f64, Domain::Positive)
}

/// A number that is not known better than that.
#[derive(Clone, Copy, Debug)]
struct Near {
    value: f64,
    error: f64,
}

impl Near {
    fn exactly(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// Of two factors `1 - p` and `p` parts.
    fn mixed(from: f64, to: f64, p: f64) -> Self {
        Self { value: (from * (1.0 - p) + to * p).min(f64::MAX), error: 1e-12 * from.max(to) + 1e-320 }
    }

    /// A power, which in `f64` is off by more the higher it is, and some of the smallest numbers where it is one of those.
    fn power(base: f64, exponent: f64) -> Self {
        let value = base.powf(exponent).min(f64::MAX);
        let error = value * ((2.0 * exponent + 4000.0) * f64::EPSILON) + 1e-320;
        Self { value, error: error.min(f64::MAX) }
    }

    fn times(self, other: Self) -> Self {
        let error = self.value * other.error + other.value * self.error + self.error * other.error + 1e-320;
        Self { value: (self.value * other.value).min(f64::MAX), error: error.min(f64::MAX) }
    }

    fn holds(self, found: f64) -> bool {
        (found - self.value).abs() <= self.error
    }
}

fn shape(u: &mut Unstructured<'_>) -> Result<Shape> {
    Ok(*u.choose(&[Shape::Linear, Shape::Cosine, Shape::Sqrt])?)
}

/// What is left of the first factor.
fn left(shape: Shape, p: f64) -> f64 {
    match shape {
        Shape::Linear => 1.0 - p,
        Shape::Cosine => (1.0 + (PI * p).cos()) / 2.0,
        Shape::Sqrt => 1.0 - p.sqrt(),
    }
}

fn part(step: u64, steps: u64) -> f64 {
    step.min(steps) as f64 / steps as f64
}

type Maker = fn(&mut Unstructured<'_>) -> Result<Case>;

const KINDS: [Maker; 12] = [
    constant,
    exponential,
    step_decay,
    multi_step,
    linear,
    polynomial,
    cosine,
    warm_restarts,
    one_cycle,
    cyclic,
    inverse_sqrt,
    warmup_stable_decay,
];

/// One of the kinds, or some of them combined.
fn case(u: &mut Unstructured<'_>, depth: u32) -> Result<Case> {
    if depth == 0 || u.ratio(1, 2)? {
        return u.choose(&KINDS)?(u);
    }
    let first = case(u, depth - 1)?;
    match u.int_in_range(0..=2)? {
        0 => warmup(u, first),
        1 => Ok(times(first, case(u, depth - 1)?)),
        _ => then(first, count(u)?, case(u, depth - 1)?),
    }
}

fn constant(u: &mut Unstructured<'_>) -> Result<Case> {
    let (factor, until) = (number(u)?, u.arbitrary::<bool>()?.then_some(count(u)?));
    let built = Constant::new(factor).and_then(|s| until.map_or(Ok(s), |until| s.until(until)));
    let mut settings = vec![("factor", factor, Domain::NonNegative)];
    settings.extend(until.map(|until| steps("until", until)));
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings,
        formula: Box::new(move |step| {
            Near::exactly(if until.is_none_or(|until| step < until) { factor } else { 1.0 })
        }),
        range: (factor.min(1.0), factor.max(1.0)),
        exact: vec![(0, factor)],
    })
}

fn exponential(u: &mut Unstructured<'_>) -> Result<Case> {
    let (gamma, over) = (number(u)?, u.arbitrary::<bool>()?.then_some(count(u)?));
    let built = Exponential::new(gamma).and_then(|s| over.map_or(Ok(s), |over| s.over(over)));
    let mut settings = vec![("gamma", gamma, Domain::Positive)];
    settings.extend(over.map(|over| steps("over", over)));
    let over = over.unwrap_or(1);
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings,
        formula: Box::new(move |step| Near::power(gamma, step as f64 / over as f64)),
        range: if gamma < 1.0 { (0.0, 1.0) } else { (1.0, f64::MAX) },
        exact: vec![(0, 1.0), (over, gamma)],
    })
}

fn step_decay(u: &mut Unstructured<'_>) -> Result<Case> {
    let (every, gamma) = (count(u)?, number(u)?);
    let built = StepDecay::new(every, gamma);
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![steps("every", every), ("gamma", gamma, Domain::Positive)],
        formula: Box::new(move |step| Near::power(gamma, (step / every) as f64)),
        range: if gamma < 1.0 { (0.0, 1.0) } else { (1.0, f64::MAX) },
        exact: vec![(0, 1.0), (every.saturating_sub(1), 1.0), (every, gamma)],
    })
}

/// It borrows its milestones, and these are its own.
struct OwnMultiStep(Vec<u64>, f64);

impl Schedule for OwnMultiStep {
    fn factor(&self, step: u64) -> f64 {
        MultiStep::new(&self.0, self.1).expect("it was accepted before").factor(step)
    }
}

fn multi_step(u: &mut Unstructured<'_>) -> Result<Case> {
    let gamma = number(u)?;
    let milestones = (0..u.int_in_range(0..=6)?).map(|_| count(u)).collect::<Result<Vec<_>>>()?;
    let built = MultiStep::new(&milestones, gamma).map(drop);
    let mut sorted = milestones.clone();
    sorted.sort_unstable();
    let first = sorted.first().copied().unwrap_or(0);
    Ok(Case {
        label: format!("multi-step {milestones:?} {gamma}"),
        built: built.map(|()| any(OwnMultiStep(milestones, gamma))),
        settings: vec![("gamma", gamma, Domain::Positive)],
        exact: if first > 0 { vec![(0, 1.0), (first - 1, 1.0)] } else { vec![] },
        formula: Box::new(move |step| {
            Near::power(gamma, sorted.partition_point(|milestone| *milestone <= step) as f64)
        }),
        range: if gamma < 1.0 { (0.0, 1.0) } else { (1.0, f64::MAX) },
    })
}

fn linear(u: &mut Unstructured<'_>) -> Result<Case> {
    let (start, end, n) = (number(u)?, number(u)?, count(u)?);
    let built = Linear::new(start, end, n);
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![
            ("start", start, Domain::NonNegative),
            ("end", end, Domain::NonNegative),
            steps("steps", n),
        ],
        formula: Box::new(move |step| Near::mixed(start, end, part(step, n))),
        range: (start.min(end), start.max(end)),
        exact: vec![(0, start), (n, end), (u64::MAX, end)],
    })
}

fn polynomial(u: &mut Unstructured<'_>) -> Result<Case> {
    let (n, power, end) = (count(u)?, number(u)?, number(u)?);
    let built = Polynomial::new(n, power).and_then(|s| s.end(end));
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![
            steps("steps", n),
            ("power", power, Domain::Positive),
            ("end", end, Domain::NonNegative),
        ],
        formula: Box::new(move |step| {
            // The steps that are left are whole; 1 - step/steps would lose their last digits, and a power all of them.
            let left = part(n.saturating_sub(step), n).powf(power);
            Near::mixed(end, 1.0, left)
        }),
        range: (end.min(1.0), end.max(1.0)),
        exact: vec![(0, 1.0), (n, end), (u64::MAX, end)],
    })
}

fn cosine(u: &mut Unstructured<'_>) -> Result<Case> {
    let (n, min, periodic) = (count(u)?, number(u)?, u.arbitrary()?);
    let built = Cosine::new(n, min).map(|s| if periodic { s.periodic() } else { s });
    let mut exact = vec![(0, 1.0), (n, min)];
    exact.extend(if periodic { n.checked_mul(2).map(|twice| (twice, 1.0)) } else { Some((u64::MAX, min)) });
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![steps("steps", n), ("min", min, Domain::Unit)],
        formula: Box::new(move |step| {
            let step =
                if periodic { u128::from(step) % (2 * u128::from(n)) } else { u128::from(step.min(n)) };
            Near::mixed(min, 1.0, left(Shape::Cosine, step as f64 / n as f64))
        }),
        range: (min, 1.0),
        exact,
    })
}

fn warm_restarts(u: &mut Unstructured<'_>) -> Result<Case> {
    let (first, mult, min) = (count(u)?, count(u)?, number(u)?);
    let built = WarmRestarts::new(first, mult, min);
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![steps("first", first), steps("mult", mult), ("min", min, Domain::Unit)],
        formula: Box::new(move |step| {
            let (mut start, mut length) = (0, u128::from(first));
            if mult == 1 {
                start = u128::from(step - step % first);
            }
            while start + length <= step.into() {
                start += length;
                length = (length * u128::from(mult)).min(u64::MAX.into());
            }
            let p = (u128::from(step) - start) as f64 / length as f64;
            Near::mixed(min, 1.0, left(Shape::Cosine, p))
        }),
        range: (min, 1.0),
        exact: vec![(0, 1.0), (first, 1.0)],
    })
}

fn one_cycle(u: &mut Unstructured<'_>) -> Result<Case> {
    let (n, pct_start) = (count(u)?, number(u)?);
    let (div_factor, final_div_factor) = (number(u)?, number(u)?);
    let (anneal, three_phase) = (shape(u)?, u.arbitrary()?);
    let built = OneCycle::new(n).and_then(|s| {
        let s = s.pct_start(pct_start)?.div_factor(div_factor)?.final_div_factor(final_div_factor)?;
        Ok(s.anneal(anneal).three_phase(three_phase))
    });
    let low = (1.0 / div_factor).min(f64::MAX);
    let last = (low / final_div_factor).min(f64::MAX);
    let end = n.saturating_sub(1) as f64;
    let peak = pct_start * n as f64 - 1.0;
    let back = 2.0 * pct_start * n as f64 - 2.0;
    let mut phases = vec![(peak, low, 1.0)];
    phases.extend(if three_phase {
        vec![(back, 1.0, low), (end, low, last)]
    } else {
        vec![(end, 1.0, last)]
    });
    let mut exact = vec![];
    exact.extend((peak > 0.0).then_some((0, low)));
    let reaches_the_end = peak < end && !(three_phase && back >= end);
    exact.extend(reaches_the_end.then_some((n.saturating_sub(1), last)));
    exact.extend(reaches_the_end.then_some((u64::MAX, last)));
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![
            steps("steps", n),
            ("pct_start", pct_start, Domain::Unit),
            ("div_factor", div_factor, Domain::Positive),
            ("final_div_factor", final_div_factor, Domain::Positive),
        ],
        formula: Box::new(move |step| {
            let step = step.min(n - 1) as f64;
            let mut from = 0.0;
            for &(to, first, last) in &phases {
                if step <= to || to == end {
                    let p = if from < to { (step - from) / (to - from) } else { 1.0 };
                    return Near::mixed(last, first, left(anneal, p));
                }
                from = to;
            }
            unreachable!("no step is beyond the end");
        }),
        range: (low.min(last).min(1.0), low.max(last).max(1.0)),
        exact,
    })
}

fn cyclic(u: &mut Unstructured<'_>) -> Result<Case> {
    let (up, down, low, high) = (count(u)?, count(u)?, number(u)?, number(u)?);
    let gamma = number(u)?;
    let mode = *u.choose(&[CyclicMode::Triangular, CyclicMode::Triangular2, CyclicMode::ExpRange(gamma)])?;
    let built = Cyclic::new(up, low, high).and_then(|s| s.down(down)?.mode(mode));
    let mut settings = vec![
        steps("up", up),
        ("low", low, Domain::NonNegative),
        ("high", high, Domain::NonNegative),
        steps("down", down),
    ];
    if matches!(mode, CyclicMode::ExpRange(_)) {
        settings.extend([("gamma", gamma, Domain::Positive), ("gamma", gamma, Domain::Unit)]);
    }
    let mut exact = vec![(0, low)];
    exact.extend((mode == CyclicMode::Triangular).then_some((up, high)));
    exact.extend(up.checked_add(down).map(|period| (period, low)));
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings,
        formula: Box::new(move |step| {
            let period = u128::from(up) + u128::from(down);
            let within = u128::from(step) % period;
            let x = if within <= up.into() {
                within as f64 / up as f64
            } else {
                (period - within) as f64 / down as f64
            };
            let scale = match mode {
                CyclicMode::Triangular => Near::exactly(1.0),
                CyclicMode::Triangular2 => Near::power(0.5, (u128::from(step) / period) as f64),
                CyclicMode::ExpRange(gamma) => Near::power(gamma, step as f64),
            };
            let Near { value, error } = Near::mixed(low, high, x * scale.value);
            Near { value, error: error + scale.error * low.max(high) }
        }),
        range: (low.min(high), low.max(high)),
        exact,
    })
}

fn inverse_sqrt(u: &mut Unstructured<'_>) -> Result<Case> {
    let (warmup, noam) = (count(u)?, u.arbitrary()?);
    let built = if noam { InverseSqrt::noam(warmup) } else { InverseSqrt::new(warmup) };
    let ahead = u64::from(noam);
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![steps("warmup", warmup)],
        formula: Box::new(move |step| {
            let t = u128::from(step) + u128::from(ahead);
            let value = (t as f64 / warmup as f64).min((warmup as f64 / t as f64).sqrt());
            Near { value, error: 1e-14 * value }
        }),
        range: (0.0, 1.0),
        exact: vec![(warmup.saturating_sub(ahead), 1.0)],
    })
}

fn warmup_stable_decay(u: &mut Unstructured<'_>) -> Result<Case> {
    let (warmup, stable, decay, shape) = (count(u)?, count(u)?, count(u)?, shape(u)?);
    let (start, min) = (number(u)?, number(u)?);
    let built = WarmupStableDecay::new(warmup, stable, decay, shape).and_then(|s| s.start(start)?.min(min));
    let mut exact = vec![(warmup, 1.0)];
    exact.extend((warmup > 0).then_some((0, start)));
    let level = warmup.checked_add(stable);
    exact.extend(level.map(|step| (step, 1.0)));
    exact.extend(level.and_then(|step| step.checked_add(decay)).map(|step| (step, min)));
    Ok(Case {
        label: format!("{built:?}"),
        built: built.map(any),
        settings: vec![
            steps("decay", decay),
            ("start", start, Domain::NonNegative),
            ("min", min, Domain::Unit),
        ],
        formula: Box::new(move |step| {
            if step < warmup {
                return Near::mixed(start, 1.0, part(step, warmup));
            }
            let decaying = u128::from(step).saturating_sub(u128::from(warmup) + u128::from(stable));
            let p = (decaying as f64 / decay as f64).min(1.0);
            Near::mixed(min, 1.0, left(shape, p))
        }),
        range: (start.min(min), start.max(1.0)),
        exact,
    })
}

fn warmup(u: &mut Unstructured<'_>, then: Case) -> Result<Case> {
    let (n, start) = (count(u)?, number(u)?);
    let setting = ("start", start, Domain::NonNegative);
    let mut exact = vec![];
    exact.extend((n > 0).then_some((0, start)));
    exact.extend(later(&then, n));
    Ok(Case {
        label: format!("warm-up {n} {start}, then {}", then.label),
        built: then.built.and_then(|then| Warmup::new(n, start, then).map(any)),
        settings: [&then.settings[..], &[setting]].concat(),
        formula: Box::new(move |step| match step.checked_sub(n) {
            Some(step) => (then.formula)(step),
            None => Near::mixed(start, 1.0, part(step, n)),
        }),
        range: (start.min(1.0).min(then.range.0), start.max(1.0).max(then.range.1)),
        exact,
    })
}

/// The exact factors of what begins at a step.
fn later(case: &Case, at: u64) -> impl Iterator<Item = (u64, f64)> {
    case.exact.iter().filter_map(move |&(step, factor)| Some((step.checked_add(at)?, factor)))
}

fn then(first: Case, at: u64, next: Case) -> Result<Case> {
    let before = first.exact.iter().copied().filter(|(step, _)| *step < at);
    Ok(Case {
        label: format!("({}) up to {at}, then {}", first.label, next.label),
        exact: before.chain(later(&next, at)).collect(),
        built: first.built.and_then(|first| Ok(any(first.then(at, next.built?)))),
        settings: [first.settings, next.settings].concat(),
        formula: Box::new(move |step| match step.checked_sub(at) {
            Some(step) => (next.formula)(step),
            None => (first.formula)(step),
        }),
        range: (first.range.0.min(next.range.0), first.range.1.max(next.range.1)),
    })
}

fn times(a: Case, b: Case) -> Case {
    Case {
        label: format!("({}) * ({})", a.label, b.label),
        built: a.built.and_then(|a| Ok(any(a.times(b.built?)))),
        settings: [a.settings, b.settings].concat(),
        formula: Box::new(move |step| (a.formula)(step).times((b.formula)(step))),
        range: ((a.range.0 * b.range.0).min(f64::MAX), (a.range.1 * b.range.1).min(f64::MAX)),
        exact: vec![],
    }
}

/// What is accepted must be in range throughout, and else the first setting that is not must be named.
fn check_refusal<T>(label: &str, settings: &[Setting], built: &std::result::Result<T, Error>) {
    let wrong = settings.iter().find(|(_, value, domain)| !domain.contains(*value));
    let refused = built.as_ref().err().map(|error| match *error {
        Error::OutOfRange { option, value, .. } => {
            assert!(error.to_string().contains(option));
            (option, value.to_bits())
        }
        other => panic!("{label}: {other:?}"),
    });
    assert_eq!(refused, wrong.map(|(option, value, _)| (*option, value.to_bits())), "{label}");
}

fn check_case(u: &mut Unstructured<'_>) -> Result<()> {
    let case = case(u, 3)?;
    let Case { label, built, .. } = &case;
    check_refusal(label, &case.settings, built);
    let Ok(schedule) = built else { return Ok(()) };
    for &(step, factor) in &case.exact {
        assert_eq!(schedule.factor(step), factor, "{label} at {step}");
    }
    let mut asked: Vec<u64> = case.exact.iter().map(|(step, _)| *step).collect();
    asked.extend([1, u64::MAX]);
    for _ in 0..8 {
        asked.push(count(u)?);
    }
    let factors: Vec<f64> = asked.iter().map(|step| schedule.factor(*step)).collect();
    for (&step, &factor) in asked.iter().zip(&factors).rev() {
        assert_eq!(schedule.factor(step).to_bits(), factor.to_bits(), "{label} at {step}, asked again");
        assert_eq!(schedule.lr(0.125, step), 0.125 * factor, "{label} at {step}");
        assert!((0.0..=f64::MAX).contains(&factor), "{label} at {step} is {factor}");
        let (low, high) = case.range;
        let within = low * (1.0 - 1e-14) <= factor && factor <= high * (1.0 + 1e-14);
        assert!(within, "{label} at {step} is {factor}, not within {low} and {high}");
        let near = (case.formula)(step);
        assert!(near.holds(factor), "{label} at {step} is {factor}, not {near:?}");
    }
    Ok(())
}

/// A plateau that numbers the metrics, and knows since which of them they were no better.
struct Twin {
    mode: Mode,
    gamma: f64,
    patience: u64,
    threshold: Threshold,
    cooldown: u64,
    min: f64,
    eps: f64,
    factor: f64,
    best: Option<f64>,
    /// The number of the last metric.
    now: i128,
    /// That of the last one that was no bad one.
    since: i128,
    /// That of the last one that cannot be bad.
    quiet: i128,
}

impl Twin {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let threshold = number(u)?;
        let relative = u.arbitrary()?;
        Ok(Self {
            mode: *u.choose(&[Mode::Min, Mode::Max])?,
            gamma: number(u)?,
            patience: count(u)?,
            threshold: if relative { Threshold::Relative(threshold) } else { Threshold::Absolute(threshold) },
            cooldown: count(u)?,
            min: number(u)?,
            eps: number(u)?,
            factor: 1.0,
            best: None,
            now: 0,
            since: 0,
            quiet: 0,
        })
    }

    fn settings(&self) -> Vec<Setting> {
        let threshold = match self.threshold {
            Threshold::Relative(part) => ("threshold", part, Domain::BelowOne),
            Threshold::Absolute(difference) => ("threshold", difference, Domain::NonNegative),
        };
        let gamma = ("gamma", self.gamma, Domain::BelowOne);
        vec![gamma, threshold, ("min", self.min, Domain::Unit), ("eps", self.eps, Domain::NonNegative)]
    }

    fn build(&self) -> std::result::Result<Plateau, Error> {
        let plateau = Plateau::torch().mode(self.mode).patience(self.patience).cooldown(self.cooldown);
        plateau.gamma(self.gamma)?.threshold(self.threshold)?.min(self.min)?.eps(self.eps)
    }

    fn restore(&mut self, state: PlateauState) {
        (self.factor, self.best) = (state.factor, state.best);
        (self.now, self.since, self.quiet) = (0, -i128::from(state.bad), state.cooldown.into());
    }

    fn state(&self) -> PlateauState {
        let until = |number: i128| u64::try_from(number.max(0)).unwrap_or(u64::MAX);
        let (bad, cooldown) = (until(self.now - self.since), until(self.quiet - self.now));
        PlateauState { factor: self.factor, best: self.best, bad, cooldown }
    }

    fn is_better(&self, metric: f64) -> bool {
        let sign = if self.mode == Mode::Min { -1.0 } else { 1.0 };
        let beyond = self.best.is_none_or(|best| match self.threshold {
            Threshold::Relative(part) => metric * sign > best * (1.0 + sign * part) * sign,
            Threshold::Absolute(difference) => metric * sign > (best + sign * difference) * sign,
        });
        metric.is_finite() && beyond
    }

    fn observe(&mut self, metric: f64) {
        self.now += 1;
        if self.is_better(metric) {
            (self.best, self.since) = (Some(metric), self.now);
        }
        if self.now <= self.quiet {
            self.since = self.now;
        }
        if self.state().bad > self.patience {
            let lower = if self.factor * self.gamma > self.min { self.factor * self.gamma } else { self.min };
            self.factor = if self.factor - lower > self.eps { lower } else { self.factor };
            self.since = self.now;
            self.quiet = self.now + i128::from(self.cooldown);
        }
    }
}

fn check_plateau(u: &mut Unstructured<'_>) -> Result<()> {
    let mut twin = Twin::new(u)?;
    let settings = twin.settings();
    let built = twin.build();
    check_refusal("plateau", &settings, &built);
    let Ok(mut plateau) = built else { return Ok(()) };
    for _ in 0..u.int_in_range(0..=40)? {
        let before = plateau.factor(0);
        if u.ratio(1, 8)? {
            let any_state = PlateauState {
                factor: number(u)?,
                best: if u.arbitrary()? { Some(number(u)?) } else { None },
                bad: count(u)?,
                cooldown: count(u)?,
            };
            let state = if u.arbitrary()? { plateau.state() } else { any_state };
            let best = state.best.unwrap_or(0.0);
            let settings = [("factor", state.factor, Domain::Unit), ("best", best, Domain::Finite)];
            let restored = plateau.restore(state);
            check_refusal("plateau", &settings, &restored);
            if let Ok(restored) = restored {
                plateau = restored;
                twin.restore(state);
            }
        } else {
            let metric = number(u)?;
            let factor = plateau.observe(metric);
            twin.observe(metric);
            assert!((0.0..=before).contains(&factor), "{plateau:?} was {before}");
            assert_eq!(factor, plateau.factor(count(u)?));
        }
        assert_eq!(plateau.state(), twin.state(), "{plateau:?}");
    }
    Ok(())
}

type ScalerSetter = fn(LossScaler, f64) -> std::result::Result<LossScaler, Error>;

/// Sets a number that is sound, and leaves the scaler as it was where it refuses a number.
fn set_scaler(
    u: &mut Unstructured<'_>,
    scaler: &mut LossScaler,
    option: &str,
    setter: ScalerSetter,
    sound: impl Fn(f64) -> bool,
) -> Result<f64> {
    let value = number(u)?;
    match setter(*scaler, value) {
        Ok(set) => {
            assert!(value > 0.0 && value.is_finite(), "{option} {value}");
            *scaler = if sound(value) { set } else { *scaler };
        }
        Err(Error::OutOfRange { option: named, value: told, .. }) => {
            assert_eq!((named, told.to_bits()), (option, value.to_bits()));
        }
        Err(other) => panic!("{option} {value}: {other}"),
    }
    Ok(value)
}

fn small_count(u: &mut Unstructured<'_>) -> Result<u32> {
    if u.ratio(3, 4)? { u.int_in_range(0..=5) } else { Ok(u32::MAX - u.int_in_range(0..=2)?) }
}

/// A loss scaler with its settings.
#[derive(Debug)]
struct Scaler {
    scaler: LossScaler,
    growth: f64,
    backoff: f64,
    interval: u32,
}

impl Scaler {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let interval = small_count(u)?;
        let mut scaler = LossScaler::new().growth_interval(interval);
        let before = scaler;
        let growth =
            set_scaler(u, &mut scaler, "growth_factor", LossScaler::growth_factor, limits::is_sound_growth)?;
        let growth = if scaler == before { 2.0 } else { growth };
        let before = scaler;
        let backoff = set_scaler(
            u,
            &mut scaler,
            "backoff_factor",
            LossScaler::backoff_factor,
            limits::is_sound_backoff,
        )?;
        let backoff = if scaler == before { 0.5 } else { backoff };
        Ok(Self { scaler, growth, backoff, interval })
    }

    /// From the state that it is in, or from any.
    fn restore(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if u.arbitrary()? {
            let fresh = self.scaler.from_scale(1.0).expect("a number above 0").from_tracker(0);
            let restored = fresh.from_scale(self.scaler.scale()).expect("a scale that it had");
            assert_eq!(restored.from_tracker(self.scaler.growth_tracker()), self.scaler);
            return Ok(());
        }
        set_scaler(u, &mut self.scaler, "scale", LossScaler::from_scale, limits::is_sound_scale)?;
        let tracker = limits::sound_tracker(small_count(u)?, self.interval);
        self.scaler = self.scaler.from_tracker(tracker);
        Ok(())
    }

    fn update(&mut self, refused: bool) {
        let (scale, tracker) = (self.scaler.scale(), self.scaler.growth_tracker());
        self.scaler.update(refused);
        let grows = !refused && self.interval > 0 && tracker.saturating_add(1) >= self.interval;
        let factor = match (refused, grows) {
            (true, _) => self.backoff,
            (_, true) => self.growth,
            _ => 1.0,
        };
        let (expected, found) = (f64::from((scale * factor) as f32), self.scaler.scale());
        let ordinary = [scale, expected].iter().all(|scale| (1e-37..=1e37).contains(scale));
        assert!(!ordinary || factor == 1.0 || found == expected, "{scale} became {found}: {self:?}");
        // The scale that was set may be no `f32`, and is rounded to one.
        let rounded = f64::from(scale as f32);
        let (low, high) = (scale.min(rounded), scale.max(rounded));
        assert!(if factor < 1.0 { found <= high } else { found >= low }, "{scale} became {found}: {self:?}");
        let expected = if refused || grows { 0 } else { tracker.saturating_add(1) };
        assert_eq!(self.scaler.growth_tracker(), expected, "{self:?}");
    }

    /// It can go on.
    fn assert_works(&self) {
        let scale = self.scaler.scale();
        assert!(scale > 0.0 && scale <= f64::from(f32::MAX), "{self:?}");
        assert!(Pass::new().loss_scale(scale).is_ok() || limits::is_below_every_pass(scale), "{self:?}");
    }
}

fn check_scaler(u: &mut Unstructured<'_>) -> Result<()> {
    let mut scaler = Scaler::new(u)?;
    for _ in 0..u.int_in_range(0..=40)? {
        match u.int_in_range(0..=7)? {
            0 => scaler.restore(u)?,
            many => scaler.update(many % 2 == 0),
        }
        scaler.assert_works();
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let data = with_tail(data, 200);
    let u = &mut Unstructured::new(&data);
    // Where the bytes come to an end, so does the check.
    let _ = match u.int_in_range(0..=7) {
        Ok(0) => check_plateau(u),
        Ok(1) => check_scaler(u),
        _ => check_case(u),
    };
});
