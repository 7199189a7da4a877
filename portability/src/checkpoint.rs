//! A run that is interrupted: what an [`Optimizer`] saves goes to a file in the format safetensors, under PyTorch's names, and
//! another optimizer goes on from that.

use std::{borrow::Cow, format, string::ToString, vec::Vec};

use gradstep::{Error, Join, Optimizer, Options, Param, ParamId, Rule, Saved, StateKind, Workers};
use safetensors::{Dtype, SafeTensors, View, serialize};

use crate::{
    SCENES, STEPS, fold_bits,
    model::{LENGTHS, Model},
    train,
};

/// What an interrupted run comes to.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// The hash of the file.
    pub file: u64,
    /// That of all bits, as [`hash`](crate::hash) has it of the run without a break.
    pub run: u64,
}

/// Trains with `rule` in the first scene, with the state in an [`Optimizer`]. After half of the steps all that there is goes to
/// a file, and a new optimizer takes it from there.
///
/// # Errors
/// Those of a step.
pub fn interrupted<R: Rule + Options>(workers: &Workers<impl Join>, rule: &R) -> Result<Checkpoint, Error> {
    let mut running = Running::new(*rule)?;
    let mut file = Vec::new();
    let run = train(rule, &SCENES[0], |model, rule, t, hash| {
        if t == STEPS / 2 {
            file = running.save(model);
            running = Running::new(*rule)?;
            running.load(&file, model)?;
        }
        running.step(workers, rule, model)?;
        Ok(hash)
    })?;
    Ok(Checkpoint { file: file.iter().fold(0, |hash, &byte| fold_bits(hash, byte.into())), run })
}

struct Running<R> {
    optimizer: Optimizer<R>,
    ids: [ParamId; LENGTHS.len()],
}

impl<R: Rule> Running<R> {
    fn new(rule: R) -> Result<Self, Error> {
        let mut optimizer = Optimizer::new(rule)?;
        let [a, b, c, d] = LENGTHS.map(|len| optimizer.register(&format!("w{len}"), len));
        Ok(Self { optimizer, ids: [a?, b?, c?, d?] })
    }

    fn step(&mut self, workers: &Workers<impl Join>, rule: &R, model: &mut Model) -> Result<(), Error> {
        self.optimizer.set_rule(Optimizer::<R>::FIRST_GROUP, *rule)?;
        let tensors = self.ids.iter().zip(model.params());
        let with_id = |(&id, (params, grads))| Param::new(id, params, grads);
        let _ = self.optimizer.step(workers, &mut tensors.map(with_id).collect::<Vec<_>>())?;
        self.optimizer.save().zip(model.state()).for_each(|(saved, copies)| {
            let pairs = saved.state.zip(copies);
            pairs.for_each(|((_, values), copy)| copy[..values.len()].copy_from_slice(values));
        });
        Ok(())
    }

    /// Parameters, the numbers of their steps, and their state.
    fn save(&self, model: &mut Model) -> Vec<u8> {
        let mut tensors = Vec::new();
        for (saved, (params, _)) in self.optimizer.save().zip(model.params()) {
            tensors.push((saved.name.into(), Bytes::of_floats(params)));
            tensors.push((format!("{}.step", saved.name), Bytes::of_number(saved.step)));
            let state = saved.state.map(|(slot, values)| (format!("{}.{slot}", saved.name), values));
            tensors.extend(state.map(|(name, values)| (name, Bytes::of_floats(values))));
        }
        serialize(tensors, None).expect("tensors with different names")
    }

    fn load(&mut self, file: &[u8], model: &mut Model) -> Result<(), Error> {
        let file = SafeTensors::deserialize(file).expect("a file in the format safetensors");
        let bytes = |name: &str| file.tensor(name).expect("a tensor that was saved").data();
        for (len, (params, _)) in LENGTHS.into_iter().zip(model.params()) {
            let name = format!("w{len}");
            params.copy_from_slice(&floats(bytes(&name)));
            let kind = StateKind::of(self.optimizer.rule(Optimizer::<R>::FIRST_GROUP)?);
            let slots = kind.slots.iter().map(|slot| slot.name);
            let state: Vec<_> = slots.map(|slot| (slot, floats(bytes(&format!("{name}.{slot}"))))).collect();
            let state: Vec<_> = state.iter().map(|(slot, values)| (*slot, &values[..])).collect();
            let step = number(bytes(&format!("{name}.step")));
            self.optimizer.load(&name, &Saved { made_by: &kind.to_string(), step, state: &state })?;
        }
        Ok(())
    }
}

/// A tensor in the file, whose bytes are little-endian on every machine.
struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Bytes {
    fn of_floats(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: Vec::from([values.len()]), bytes }
    }

    fn of_number(number: u64) -> Self {
        Self { dtype: Dtype::U64, shape: Vec::new(), bytes: number.to_le_bytes().into() }
    }
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (floats, _) = bytes.as_chunks();
    floats.iter().map(|&float| f32::from_le_bytes(float)).collect()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}
