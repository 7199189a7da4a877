//! What is trained: a few small tensors in memory of fixed size.

use core::array;

use gradstep::{Error, Rule, Tensor};

use crate::{random::Random, scene::Scene};

/// The tensors' lengths. Registers have 4, 8 or 16 elements: there are tensors of one and of many, each with a rest.
const LENGTHS: [usize; 4] = [1, 5, 17, LONGEST];
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

    /// All parameters and all state.
    pub fn values(&self, rule: &impl Rule) -> impl Iterator<Item = f32> {
        self.tensors.iter().flat_map(|buffers| buffers.values(rule))
    }
}

impl Buffers {
    fn new(len: usize, rule: &impl Rule, scene: &Scene, random: &mut Random) -> Self {
        let params = array::from_fn(|place| (scene.start)(random, place));
        let mut before = |slot| if scene.resumed() { random.signed().abs() } else { rule.initial(slot) };
        let state = array::from_fn(|slot| array::from_fn(|_| before(slot)));
        Self { len, params, grads: [0.0; LONGEST], state }
    }

    fn tensor(&mut self, rule: &impl Rule) -> Result<Tensor<'_>, Error> {
        let Self { len, params, grads, state } = self;
        let slots = state.iter_mut().take(rule.state().len()).enumerate();
        let state = slots.map(|(slot, values)| &mut values[..rule.state_len(slot, *len).min(LONGEST)]);
        Tensor::new(&mut params[..*len], &grads[..*len], state)
    }

    fn values(&self, rule: &impl Rule) -> impl Iterator<Item = f32> {
        let slots = self.state.iter().take(rule.state().len()).enumerate();
        let state = slots.flat_map(|(slot, values)| values.iter().take(rule.state_len(slot, self.len)));
        self.params[..self.len].iter().chain(state).copied()
    }
}
