//! How long the steps themselves take, without the network.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use gradstep::{KernelVisitor, Prepare, Rule, Scope, Sum};

/// The rule within, with a clock around each step: `with_kernel` is where the kernel runs over all parameters.
#[derive(Clone, Copy)]
pub struct Timed<'a, R> {
    pub rule: R,
    pub clock: &'a Clock,
}

impl<R: Rule> Rule for Timed<'_, R> {
    fn name(&self) -> &'static str {
        self.rule.name()
    }

    fn state(&self) -> &'static [&'static str] {
        self.rule.state()
    }

    fn initial(&self, slot: usize) -> f32 {
        self.rule.initial(slot)
    }

    fn prepare(&self) -> Prepare {
        self.rule.prepare()
    }

    fn scalars(&self) -> usize {
        self.rule.scalars()
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
        scalars: &[f32],
        visitor: V,
    ) -> Option<V::Output> {
        self.rule.with_measuring_kernel(step, scalars, visitor)
    }

    fn settle(&self, step: u64, sums: &[f64], scalars: &mut [f32]) {
        self.rule.settle(step, sums, scalars);
    }

    fn with_settled_kernel<V: KernelVisitor>(&self, step: u64, scalars: &[f32], visitor: V) -> V::Output {
        self.rule.with_settled_kernel(step, scalars, visitor)
    }

    fn with_kernel<V: KernelVisitor>(&self, step: u64, visitor: V) -> V::Output {
        let start = Instant::now();
        let output = self.rule.with_kernel(step, visitor);
        self.clock.add(start.elapsed());
        output
    }
}

/// Keeps the fastest step. Others are interrupted, or slowed by subnormal numbers: where a pixel has been blank for
/// some hundred steps, the moving average of its gradients has decayed to one, and many processors then take several
/// times as long.
pub struct Clock {
    fastest_nanos: AtomicU64,
}

impl Clock {
    pub fn new() -> Self {
        Self { fastest_nanos: AtomicU64::new(u64::MAX) }
    }

    fn add(&self, step: Duration) {
        self.fastest_nanos.fetch_min(step.as_nanos() as u64, Ordering::Relaxed);
    }

    pub fn fastest(&self) -> Duration {
        Duration::from_nanos(self.fastest_nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use gradstep::{Adam, step};

    use super::*;

    #[test]
    fn the_fastest_step_counts() {
        let clock = Clock::new();
        for micros in [9000, 2, 3] {
            clock.add(Duration::from_micros(micros));
        }
        assert_eq!(clock.fastest(), Duration::from_micros(2));
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
