//! What is trained: a few small tensors in memory of fixed size.

use core::array;

use gradstep::{Error, Extent, FloatsMut, Format, Rule, Slot, Tensor, init_state};
use testkit::Random;

use crate::scene::Scene;

/// The tensors' lengths. Registers have 4, 8 or 16 elements: there are tensors of one and of many, each with a rest.
pub const LENGTHS: [usize; 4] = [1, 5, 17, LONGEST];
const LONGEST: usize = 67;

/// The most state slices that a tensor can have.
const SLOTS: usize = 8;

pub struct Model {
    tensors: [Buffers; LENGTHS.len()],
    random: Random,
}

struct Buffers {
    len: usize,
    params: [f32; LONGEST],
    grads: [f32; LONGEST],
    state: [[f32; LONGEST]; SLOTS],
    average: [f32; LONGEST],
    averaged: u64,
    copy: [u16; LONGEST],
}

impl Model {
    pub fn new(rule: &impl Rule, scene: &Scene) -> Self {
        let mut random = Random(0);
        let tensors = LENGTHS.map(|len| Buffers::new(len, rule, scene, &mut random));
        Self { tensors, random }
    }

    pub fn take_gradients(&mut self, scene: &Scene) {
        for Buffers { len, params, grads, .. } in &mut self.tensors {
            for (place, (g, p)) in grads.iter_mut().zip(params).enumerate().take(*len) {
                *g = (scene.gradient)(&mut self.random, place, *p);
            }
        }
    }

    pub fn tensors(&mut self, rule: &impl Rule) -> Result<[Tensor<'_>; LENGTHS.len()], Error> {
        let [a, b, c, d] = self.tensors.each_mut().map(|buffers| buffers.tensor(rule));
        Ok([a?, b?, c?, d?])
    }

    /// The same with what a pass keeps beside them, copies in this format.
    pub fn pass_tensors(
        &mut self,
        rule: &impl Rule,
        copies: Format,
    ) -> Result<[Tensor<'_>; LENGTHS.len()], Error> {
        let [a, b, c, d] = self.tensors.each_mut().map(|buffers| buffers.pass_tensor(rule, copies));
        Ok([a?, b?, c?, d?])
    }

    /// The parameters and their gradients.
    #[cfg(feature = "checkpoint")]
    pub fn params(&mut self) -> [(&mut [f32], &[f32]); LENGTHS.len()] {
        self.tensors
            .each_mut()
            .map(|Buffers { len, params, grads, .. }| (&mut params[..*len], &grads[..*len]))
    }

    /// Room for the state slices of each tensor.
    #[cfg(feature = "checkpoint")]
    pub fn state(&mut self) -> impl Iterator<Item = &mut [[f32; LONGEST]; SLOTS]> {
        self.tensors.iter_mut().map(|buffers| &mut buffers.state)
    }

    /// All averages, and all copies in 16 bits.
    pub fn kept_by_pass(&self) -> impl Iterator<Item = f32> {
        self.tensors.iter().flat_map(|Buffers { len, average, copy, .. }| {
            average.iter().copied().chain(copy.iter().map(|&bits| bits.into())).take(LONGEST + *len)
        })
    }

    /// All parameters and all state.
    pub fn values(&self, rule: &impl Rule) -> impl Iterator<Item = f32> {
        self.tensors.iter().flat_map(|buffers| buffers.values(rule))
    }
}

impl Buffers {
    fn new(len: usize, rule: &impl Rule, scene: &Scene, random: &mut Random) -> Self {
        let params = array::from_fn(|place| (scene.start)(random, place));
        let mut state = [[0.0; LONGEST]; SLOTS];
        if scene.resumed() {
            state = array::from_fn(|_| array::from_fn(|_| random.signed().abs()));
            for (slot, values) in rule.slots().iter().zip(&mut state) {
                // What rounding took off a total is small beside it.
                values[1] = if slot.extent == Extent::Total { 0.0 } else { values[1] };
            }
        } else {
            let mut slices = slots(rule, len, &mut state);
            let mut slices: [&mut [f32]; SLOTS] = array::from_fn(|_| slices.next().unwrap_or_default());
            let used = &mut slices[..rule.slots().len()];
            init_state(rule, &params[..len], used).expect("slices of the rule's own lengths");
        }
        let (grads, average, copy) = ([0.0; LONGEST], [0.0; LONGEST], [0; LONGEST]);
        Self { len, params, grads, state, average, averaged: 0, copy }
    }

    fn tensor(&mut self, rule: &impl Rule) -> Result<Tensor<'_>, Error> {
        let Self { len, params, grads, state, .. } = self;
        Tensor::new(&mut params[..*len], &grads[..*len], slots(rule, *len, state))
    }

    /// As one row.
    fn pass_tensor(&mut self, rule: &impl Rule, copy_format: Format) -> Result<Tensor<'_>, Error> {
        let Self { len, params, grads, state, average, averaged, copy } = self;
        let state = slots(rule, *len, state);
        let tensor = Tensor::new(&mut params[..*len], &mut grads[..*len], state)?;
        let copy = FloatsMut::Half(copy_format, &mut copy[..*len]);
        Ok(tensor.average(&mut average[..*len], averaged).copy_out(copy).rows(1))
    }

    fn values(&self, rule: &impl Rule) -> impl Iterator<Item = f32> {
        let slots = rule.slots().iter().zip(&self.state);
        let state = slots.flat_map(|(slot, values)| values.iter().take(slot.len(self.len)));
        self.params[..self.len].iter().chain(state).copied()
    }
}

fn slots<'a>(
    rule: &impl Rule,
    len: usize,
    state: &'a mut [[f32; LONGEST]; SLOTS],
) -> impl Iterator<Item = &'a mut [f32]> {
    let slots: &'static [Slot] = rule.slots();
    slots.iter().zip(state).map(move |(slot, values)| &mut values[..slot.len(len).min(LONGEST)])
}
