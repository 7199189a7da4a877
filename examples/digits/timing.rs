//! How long the steps themselves take, without the network.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use gradstep::{Error, KernelVisitor, Measuring, Prepare, Rule, Run, Scope, Slot, Sum};

/// The rule within, with a clock around each step, and around the pass before it that some rules have.
#[derive(Clone, Copy)]
pub struct Timed<'a, R> {
    pub rule: R,
    pub clock: &'a Clock,
}

impl<R: Rule> Rule for Timed<'_, R> {
    fn name(&self) -> &'static str {
        self.rule.name()
    }

    fn kind(&self) -> &'static str {
        self.rule.kind()
    }

    fn convention(&self) -> &'static str {
        self.rule.convention()
    }

    fn slots(&self) -> &'static [Slot] {
        self.rule.slots()
    }

    fn initial(&self, slot: usize) -> f32 {
        self.rule.initial(slot)
    }

    fn check(&self) -> Result<(), Error> {
        self.rule.check()
    }

    fn prepare(&self) -> Prepare {
        self.rule.prepare()
    }

    fn sums(&self) -> &'static [Sum] {
        self.rule.sums()
    }

    fn scope(&self) -> Scope {
        self.rule.scope()
    }

    fn with_measuring_kernel<V: KernelVisitor>(
        &self,
        step: u64,
        scalars: &[f64],
        visitor: V,
    ) -> Option<V::Output> {
        self.rule.with_measuring_kernel(step, scalars, visitor)
    }

    fn settle(&self, step: u64, sums: &[f64], scalars: &mut [f64]) {
        self.rule.settle(step, sums, scalars);
    }

    fn with_settled_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> V::Output {
        self.rule.with_settled_kernel(step, scalars, visitor)
    }

    fn with_kernel<V: KernelVisitor>(&self, step: u64, visitor: V) -> V::Output {
        self.rule.with_kernel(step, visitor)
    }

    fn run(&self, step: u64, scalars: &[f64], run: Run<'_>) {
        self.timed(step, || self.rule.run(step, scalars, run));
    }

    fn measure(&self, step: u64, scalars: &[f64], measuring: Measuring<'_>) {
        self.timed(step, || self.rule.measure(step, scalars, measuring))
    }
}

impl<R> Timed<'_, R> {
    fn timed<T>(&self, step: u64, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let output = work();
        self.clock.add(step, start.elapsed());
        output
    }
}

/// Keeps the fastest step. Others are interrupted, or slowed by subnormal numbers: where a pixel has been blank for
/// some hundred steps, the moving average of its gradients has decayed to one, and many processors then take several
/// times as long.
pub struct Clock {
    fastest_nanos: AtomicU64,
    /// The step under way, and how long it has taken.
    step: AtomicU64,
    step_nanos: AtomicU64,
}

impl Clock {
    pub fn new() -> Self {
        let [fastest_nanos, step_nanos] = [u64::MAX; 2].map(AtomicU64::new);
        Self { fastest_nanos, step: AtomicU64::new(0), step_nanos }
    }

    fn add(&self, step: u64, part: Duration) {
        let part = part.as_nanos() as u64;
        if self.step.swap(step, Ordering::Relaxed) == step {
            self.step_nanos.fetch_add(part, Ordering::Relaxed);
        } else {
            let before = self.step_nanos.swap(part, Ordering::Relaxed);
            self.fastest_nanos.fetch_min(before, Ordering::Relaxed);
        }
    }

    pub fn fastest(&self) -> Duration {
        let last = self.step_nanos.load(Ordering::Relaxed);
        Duration::from_nanos(self.fastest_nanos.load(Ordering::Relaxed).min(last))
    }
}

#[cfg(test)]
mod tests {
    use gradstep::{Adam, step};

    use super::*;

    #[test]
    fn the_fastest_step_counts() {
        let clock = Clock::new();
        for (step, micros) in [(1, 9000), (2, 1), (2, 3), (3, 7), (4, 2), (4, 4)] {
            clock.add(step, Duration::from_micros(micros));
        }
        assert_eq!(clock.fastest(), Duration::from_micros(4));
        clock.add(5, Duration::from_micros(3));
        assert_eq!(clock.fastest(), Duration::from_micros(3));
    }

    #[test]
    fn a_clock_changes_nothing() {
        let clock = Clock::new();
        let rule = Adam::torch();
        let (mut params, mut timed_params) = ([1.0], [1.0]);
        step(&rule, 1, &mut params, &[0.5], &mut [&mut [0.0], &mut [0.0]]).unwrap();
        let rule = Timed { rule, clock: &clock };
        step(&rule, 1, &mut timed_params, &[0.5], &mut [&mut [0.0], &mut [0.0]]).unwrap();
        assert_eq!(params, timed_params);
        assert!(clock.fastest() < Duration::from_secs(60));
    }
}
