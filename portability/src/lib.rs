//! One hash for each rule: of all bits of parameters and state in a training run of 1000 steps. Where two machines have the
//! same hash, they have the same bits.
//!
//! ```
//! use gradstep::{AdamW, Workers};
//! use gradstep_hash::{SCENES, expected, hash};
//!
//! let scene = &SCENES[0];
//! let found = hash(&Workers::serial(), &AdamW::torch(), scene)?;
//! assert_eq!(Some(found), expected("adamw", scene));
//! # Ok::<(), gradstep::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod model;
mod random;
mod report;
mod scene;
mod table;

pub use {
    report::report,
    scene::{SCENES, Scene},
    table::{TABLE, expected},
};

use gradstep::{Error, Format, Join, Options, Rule, Workers, splitmix64};
use model::Model;

/// How long a training run is.
const STEPS: u64 = 1000;

/// Trains with `rule` in `scene`, and hashes the schedule, all parameters and all state after each step.
///
/// Each step, because a difference in one may have healed by the next: a moving average forgets.
///
/// # Errors
/// Those of a step, and of an option that the scene sets and the rule refuses.
pub fn hash<R: Rule + Options>(workers: &Workers<impl Join>, rule: &R, scene: &Scene) -> Result<u64, Error> {
    let rule = scene.rule(rule)?;
    let mut model = Model::new(&rule, scene);
    let mut hash = 0;
    for t in 0..STEPS {
        let factor = (scene.factor)(t)?;
        // In `f64`: hardly a difference in its last place would be left in `f32`.
        hash = fold64(hash, factor);
        let rule = Scene::scheduled(&rule, factor)?;
        model.take_gradients(scene);
        let step = scene.first_step + t;
        if let Some(pass) = scene.pass {
            let copies = if t % 2 == 0 { Format::Bf16 } else { Format::F16 };
            let report = workers.step_pass(&pass()?, &rule, step, &mut model.pass_tensors(&rule, copies)?)?;
            hash = fold64(hash, report.grad_norm.unwrap_or_default());
            hash = model.kept_by_pass().fold(hash, fold);
        } else {
            workers.step_model(&rule, step, &mut model.tensors(&rule)?)?;
        }
        hash = model.values(&rule).fold(hash, fold);
    }
    Ok(hash)
}

/// Which NaN an invalid operation gives is the one thing that machines don't agree on.
fn fold(hash: u64, value: f32) -> u64 {
    let bits = if value.is_nan() { 0x7fc0_0000 } else { value.to_bits() };
    splitmix64(&mut (hash ^ u64::from(bits)))
}

fn fold64(hash: u64, value: f64) -> u64 {
    let bits = if value.is_nan() { 0x7ff8 << 48 } else { value.to_bits() };
    splitmix64(&mut (hash ^ bits))
}
