//! Runs a rule and its roofs in turn.

use std::time::Instant;

use gradstep::{Error, FloatsMut, Format, Join, NonFinite, Pass, Rayon, Rule, Tensor, Workers};

use crate::{
    buffers::{Buffers, Slices},
    case::Case,
    clock, plain,
    roof::{RootsAndDivisions, SameBytes},
    spread::Spread,
};

/// Rounds that do not count.
const WARM_UPS: usize = 2;

/// What came of a case.
pub struct Line {
    pub case: Case,
    pub nanos_per_param: f64,
    pub cycles_per_param: f64,
    /// The time of the loop that moves the same bytes, by the rule's.
    pub same_bytes: Spread,
    /// The time of the loop of roots and divisions, by the rule's.
    pub math: Option<Spread>,
}

impl Line {
    /// The lower roof: of two times that no rule can beat, the longer one says more.
    pub fn roof(&self) -> Spread {
        self.math.filter(|_| self.under_math()).unwrap_or(self.same_bytes)
    }

    /// Whether that roof is the arithmetic.
    pub fn under_math(&self) -> bool {
        self.math.is_some_and(|math| math.median > self.same_bytes.median)
    }

    pub fn gigabytes_per_second(&self) -> f64 {
        self.case.bytes_per_param() as f64 / self.nanos_per_param
    }
}

pub fn measure(case: Case, rounds: u32, aligned: bool) -> Result<Line, Error> {
    let mut bench = Bench::new(case, aligned);
    let total = WARM_UPS + rounds as usize;
    let rounds = (0..total).map(|_| bench.round()).collect::<Result<Vec<_>, _>>()?;
    Ok(summary(case, &rounds[WARM_UPS..]))
}

/// The nanoseconds of each loop when its turn came, and the clock.
struct Round {
    rule: f64,
    gigahertz: f64,
    /// Infinite in a pass, which knows no other loop than the plain one.
    shared_bytes: f64,
    plain_bytes: f64,
    math: Option<f64>,
}

fn summary(case: Case, rounds: &[Round]) -> Line {
    let spread = |value: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(value));
    let math = || Spread::of(rounds.iter().filter_map(|round| Some(round.math? / round.rule)));
    let median = |value: &dyn Fn(&Round) -> f64| spread(value).median;
    let elements = case.elements as f64;
    let plain_is_faster = median(&|round| round.plain_bytes) < median(&|round| round.shared_bytes);
    let bytes = |round: &Round| if plain_is_faster { round.plain_bytes } else { round.shared_bytes };
    Line {
        case,
        nanos_per_param: median(&|round| round.rule / elements),
        cycles_per_param: median(&|round| round.rule * round.gigahertz / elements),
        same_bytes: spread(&|round| bytes(round) / round.rule),
        math: case.has_math_roof().then(math),
    }
}

struct Bench {
    case: Case,
    workers: Workers<Threads>,
    buffers: Buffers,
    math: Option<Buffers>,
    step: u64,
}

impl Bench {
    fn new(case: Case, aligned: bool) -> Self {
        let math = || {
            Buffers::new(&RootsAndDivisions, case.elements / RootsAndDivisions::PER_ELEMENT, aligned, false)
        };
        Self {
            case,
            workers: Workers::new(Threads(case.threads)),
            buffers: Buffers::new(&case.rule, case.elements, aligned, case.pass),
            math: case.has_math_roof().then(math),
            // The next one is number 2: a first step looks at its state, and each is taken many times.
            step: 1,
        }
    }

    fn round(&mut self) -> Result<Round, Error> {
        self.step += 1;
        let (rule, same_bytes) = (self.case.rule, SameBytes { slots: self.case.slots() });
        Ok(Round {
            rule: if self.case.pass { self.time_pass(&rule)? } else { self.time(&rule)? },
            gigahertz: clock::gigahertz(),
            shared_bytes: if self.case.pass { f64::INFINITY } else { self.time(&same_bytes)? },
            plain_bytes: self.time_plain()?,
            math: self.time_math()?,
        })
    }

    fn time(&mut self, rule: &impl Rule) -> Result<f64, Error> {
        let Slices { params, grads, mut state, .. } = self.buffers.slices();
        time(self.case.repeats(), || self.workers.step(rule, self.step, params, grads, &mut state))
    }

    /// The norm is found and clipped for each call anew; once the gradients are zero, all is done that is done to others.
    fn time_pass(&mut self, rule: &impl Rule) -> Result<f64, Error> {
        let pass = Pass::new().loss_scale(2.0)?.check(NonFinite::Refuse).clip_global_norm(1.0)?.zero_grads();
        time(self.case.repeats(), || {
            let Slices { params, grads, state, copy } = self.buffers.slices();
            let tensor = Tensor::new(params, grads, state)?.copy_out(FloatsMut::Half(Format::Bf16, copy));
            self.workers.step_pass(&pass, rule, self.step, &mut [tensor]).map(|_| ())
        })
    }

    fn time_plain(&mut self) -> Result<f64, Error> {
        time(self.case.repeats(), || {
            plain::add(self.case.threads, self.buffers.slices());
            Ok(())
        })
    }

    fn time_math(&mut self) -> Result<Option<f64>, Error> {
        let Some(buffers) = &mut self.math else { return Ok(None) };
        let Slices { params, grads, .. } = buffers.slices();
        let work = || self.workers.step(&RootsAndDivisions, self.step, params, grads, &mut []);
        time(self.case.repeats(), work).map(Some)
    }
}

/// The nanoseconds of one call among several.
fn time(calls: usize, mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let start = Instant::now();
    for _ in 0..calls {
        call()?;
    }
    Ok(start.elapsed().as_nanos() as f64 / calls as f64)
}

/// One thread, or all of the pool.
struct Threads(usize);

impl Join for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        Rayon.join(work);
    }
}
