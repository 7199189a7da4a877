//! How long the steps themselves take, without the network.

use std::time::{Duration, Instant};

/// Keeps the time of the fastest step. Others are interrupted, or slowed by subnormal numbers: where a pixel has been blank for
/// some hundred steps, the moving average of its gradients has decayed to one, and many processors then take several
/// times as long.
pub struct Clock {
    fastest: Duration,
}

impl Clock {
    pub fn new() -> Self {
        Self { fastest: Duration::MAX }
    }

    /// Does the work, and measures it.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let output = work();
        self.fastest = self.fastest.min(start.elapsed());
        output
    }

    pub fn fastest(&self) -> Duration {
        self.fastest
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn the_fastest_step_counts() {
        let mut clock = Clock::new();
        for millis in [40, 1, 60] {
            clock.time(|| sleep(Duration::from_millis(millis)));
        }
        assert!((Duration::from_millis(1)..Duration::from_millis(40)).contains(&clock.fastest()));
    }
}
