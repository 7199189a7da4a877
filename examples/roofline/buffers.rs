//! What a step works on.

use gradstep::{Rule, Slot, init_state};

const PAGE: usize = 4096;

/// How many floats large allocations start behind a page, on Linux.
const HEADER: usize = 4;

pub struct Buffers {
    params: Floats,
    grads: Floats,
    state: Vec<Floats>,
    copy: Vec<u16>,
}

/// The slices of all of them.
pub struct Slices<'a> {
    pub params: &'a mut [f32],
    pub grads: &'a mut [f32],
    pub state: Vec<&'a mut [f32]>,
    /// Empty unless the step is taken in a pass.
    pub copy: &'a mut [u16],
}

impl Buffers {
    /// Gradients are above zero, and no number ever becomes subnormal, which many processors are slow with: averages
    /// do not decay, and adding gradients to a second moment, as the roofs do, leaves it above zero.
    pub fn new(rule: &impl Rule, elements: usize, aligned: bool, pass: bool) -> Self {
        let wave = |i: usize| 0.75 + testkit::wave(i);
        let floats = |value: &dyn Fn(usize) -> f32| Floats::new(elements, aligned, value);
        let slice = |slot: &Slot| Floats::new(slot.len(elements), aligned, &|_| 0.0);
        let mut buffers = Self {
            params: floats(&wave),
            grads: floats(&|i| wave(7 * i)),
            state: rule.slots().iter().map(slice).collect(),
            copy: vec![1; if pass { elements } else { 0 }],
        };
        let mut slices = buffers.slices();
        init_state(rule, slices.params, &mut slices.state).expect("there is a slice for each slot");
        buffers
    }

    pub fn slices(&mut self) -> Slices<'_> {
        Slices {
            params: self.params.slice(),
            grads: self.grads.slice(),
            state: self.state.iter_mut().map(Floats::slice).collect(),
            copy: &mut self.copy,
        }
    }
}

/// Floats that start at the same place of a page in every run: some processors take two turns for a vector that lies
/// across cache lines.
struct Floats {
    floats: Vec<f32>,
    start: usize,
    len: usize,
}

impl Floats {
    /// Writes every element, so that no page is touched for the first time while a clock runs.
    fn new(len: usize, aligned: bool, value: &dyn Fn(usize) -> f32) -> Self {
        let mut floats = vec![0.0; len + PAGE];
        let page = floats.as_ptr().align_offset(PAGE);
        let start = page + if aligned { 0 } else { HEADER };
        for (i, float) in floats[start..][..len].iter_mut().enumerate() {
            *float = value(i);
        }
        Self { floats, start, len }
    }

    fn slice(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..][..self.len]
    }
}
