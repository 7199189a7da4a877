//! One hash for each rule: of all bits of parameters and state in a training run of 1000 steps. Where two machines have the
//! same hash, they have the same bits.
//!
//! ```
//! use gradstep::{AdamW, Workers};
//! use gradstep_hash::{SCENES, expected, hash};
//!
//! let scene = &SCENES[0];
//! let found = hash(&Workers::serial(), &AdamW::torch(), scene)?;
//! assert_eq!(Some(found), expected("adamw", scene.name));
//! # Ok::<(), gradstep::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "checkpoint")]
extern crate std;

#[cfg(feature = "checkpoint")]
mod checkpoint;
mod model;
mod report;
mod scene;
mod table;

#[cfg(feature = "checkpoint")]
pub use checkpoint::{Checkpoint, interrupted};
pub use {
    report::report,
    scene::{SCENES, Scene},
    table::{TABLE, expected},
};

use gradstep::{Error, Format, Join, Options, Rule, Workers};
use model::Model;
use testkit::{Random, bits_of};

/// How long a training run is.
const STEPS: u64 = 1000;

/// Trains with `rule` in `scene`, and hashes the schedule, all parameters and all state after each step.
///
/// Each step, because a difference in one may have healed by the next: a moving average forgets.
///
/// # Errors
/// Those of a step, and of an option that the scene sets and the rule refuses.
pub fn hash<R: Rule + Options>(workers: &Workers<impl Join>, rule: &R, scene: &Scene) -> Result<u64, Error> {
    train(rule, scene, |model, rule, t, hash| {
        let step = scene.first_step + t;
        let Some(pass) = scene.pass else {
            return workers.step_model(rule, step, &mut model.tensors(rule)?).map(|()| hash);
        };
        let copies = if t % 2 == 0 { Format::Bf16 } else { Format::F16 };
        let report = workers.step_pass(&pass()?, rule, step, &mut model.pass_tensors(rule, copies)?)?;
        let hash = fold64(hash, report.grad_norm.unwrap_or_default());
        Ok(model.kept_by_pass().fold(hash, fold))
    })
}

/// The loop. `take_step` is given the number of the step, counted from 0, and the hash, to which it adds what only it knows.
fn train<R: Rule + Options>(
    rule: &R,
    scene: &Scene,
    mut take_step: impl FnMut(&mut Model, &R, u64, u64) -> Result<u64, Error>,
) -> Result<u64, Error> {
    let rule = scene.rule(rule)?;
    // State may depend on the learning rate of the first step.
    let mut model = Model::new(&Scene::scheduled(&rule, (scene.factor)(0)?)?, scene);
    let mut hash = 0;
    for t in 0..STEPS {
        let factor = (scene.factor)(t)?;
        // In `f64`: hardly a difference in its last place would be left in `f32`.
        hash = fold64(hash, factor);
        let rule = Scene::scheduled(&rule, factor)?;
        model.take_gradients(scene);
        hash = take_step(&mut model, &rule, t, hash)?;
        hash = model.values(&rule).fold(hash, fold);
    }
    Ok(hash)
}

fn fold(hash: u64, value: f32) -> u64 {
    fold_bits(hash, bits_of(value).into())
}

/// Which NaN an invalid operation gives is the one thing that machines don't agree on.
fn fold64(hash: u64, value: f64) -> u64 {
    fold_bits(hash, if value.is_nan() { 0x7ff8 << 48 } else { value.to_bits() })
}

fn fold_bits(hash: u64, bits: u64) -> u64 {
    Random(hash ^ bits).draw()
}
