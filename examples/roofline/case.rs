//! What is measured at a time.

use gradstep::{AnyRule, Rule as _, full_slots};

use crate::roof::takes_root_and_divides;

/// Elements of each slice: beyond every cache, but for the largest of servers.
pub const MEMORY: [usize; 2] = [1 << 24, 1 << 26];

/// Elements of each slice: within one core's own caches.
pub const CACHE: [usize; 4] = [1 << 14, 1 << 15, 1 << 16, 1 << 17];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    Memory,
    Cache,
}

/// A rule with a given number of parameters on a given number of threads.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub rule: AnyRule,
    pub elements: usize,
    pub threads: usize,
    pub level: Level,
    /// Whether the step is taken in a pass.
    pub pass: bool,
}

impl Case {
    pub fn slots(&self) -> usize {
        full_slots(self.rule.slots())
    }

    /// The least traffic of a step, for each parameter: it and the state are read and written, the gradient is read. A pass
    /// reads the gradient twice, zeroes it, and writes 16 bits.
    pub fn bytes_per_param(&self) -> usize {
        let pass = if self.pass { 2 * size_of::<f32>() + size_of::<u16>() } else { 0 };
        size_of::<f32>() * (3 + 2 * self.slots()) + pass
    }

    /// In memory the arithmetic has time enough.
    pub fn has_math_roof(&self) -> bool {
        self.level == Level::Cache && takes_root_and_divides(self.rule.name())
    }

    /// How many calls are timed together: less than a millisecond of work where they are short, so that an interruption
    /// spoils few turns.
    pub fn repeats(&self) -> usize {
        (1 << 19) / self.elements.min(1 << 19)
    }
}
