//! What is trained with what, and what is said about it.

use gradstep::{
    Adam, Error, Momentum, Rule,
    train::{Batch, Epoch, Plan, Workspace, minimize_in},
};

use crate::{
    console::Console,
    data::{Sample, TRAIN, digits},
    hash::hash,
    network::{PARAMS, gradient, init, known},
};

const SEED: u64 = 1;
const EPOCHS: u32 = 40;
const REPORT_EVERY: u32 = 5;

/// All the memory that training works in.
pub struct Buffers {
    params: [f32; PARAMS],
    grads: [f32; PARAMS],
    first_state: [f32; PARAMS],
    second_state: [f32; PARAMS],
    order: [usize; TRAIN],
}

impl Buffers {
    pub const ZERO: Self = Self {
        params: [0.0; PARAMS],
        grads: [0.0; PARAMS],
        first_state: [0.0; PARAMS],
        second_state: [0.0; PARAMS],
        order: [0; TRAIN],
    };
}

/// Trains with both rules, and reports losses, accuracies and hashes.
///
/// # Errors
/// Those of [`minimize_in`]; with the buffers given and the options chosen here there is none.
pub fn report(buffers: &mut Buffers, console: &mut impl Console) -> Result<(), Error> {
    let Buffers { params, grads, first_state, second_state, order } = buffers;
    let momentum = Momentum::torch().lr(0.05)?;
    train(&momentum, params, Workspace { grads, state: &mut [first_state], order }, console)?;
    let adam = Adam::torch().lr(0.005)?;
    train(&adam, params, Workspace { grads, state: &mut [first_state, second_state], order }, console)
}

fn train<R: Rule>(
    rule: &R,
    params: &mut [f32],
    Workspace { grads, state, order }: Workspace<'_, '_>,
    console: &mut impl Console,
) -> Result<(), Error> {
    let (learned, tested) = digits();
    let plan = Plan { batch: Batch::Mini(8), seed: SEED, epochs: EPOCHS, ..Plan::default() };
    init(params, SEED);
    console.text(rule.name().as_bytes());
    let objective = |params: &[f32], batch: &[usize], grads: &mut [f32]| {
        gradient(params, batch.iter().filter_map(|&sample| learned.get(sample)), grads)
    };
    minimize_in(rule, &plan, params, Workspace { grads, state, order }, objective, |epoch| {
        if epoch.number % REPORT_EVERY == 0 {
            report_loss(epoch, console);
        }
    })?;
    report_result(params, state, tested, console);
    Ok(())
}

fn report_loss(epoch: Epoch, console: &mut impl Console) {
    console.text(b"\n  epoch ");
    console.number(epoch.number.into());
    console.text(b": loss ");
    console.decimal(epoch.loss);
}

fn report_result(params: &[f32], state: &[&mut [f32]], tested: &[Sample], console: &mut impl Console) {
    console.text(b"\n  knows ");
    console.number(known(params, tested) as u64);
    console.text(b" of ");
    console.number(tested.len() as u64);
    console.text(b" other digits\n  hash of parameters and state ");
    console.hex(hash(params.iter().chain(state.iter().flat_map(|slice| slice.iter()))));
    console.text(b"\n");
}
