//! All rules of one backend against the table.

use core::fmt::{self, Write};

use gradstep::{AnyRule, Backend, Workers};

use crate::{SCENES, Scene, expected, hash};

/// Compares every rule on `backend` with the table, and says how many agree; before it, which do not. True where all do.
///
/// # Errors
/// Those of `out`.
pub fn report(backend: Backend, out: &mut impl Write) -> Result<bool, fmt::Error> {
    let all = AnyRule::NAMES.len();
    let mut agreeing = 0;
    for name in AnyRule::NAMES {
        let mut agrees = true;
        for scene in SCENES {
            agrees &= compare(backend, name, scene, out)?;
        }
        agreeing += usize::from(agrees);
    }
    writeln!(out, "{backend} {} {} {agreeing}/{all}", backend.instructions(), backend.lanes())?;
    Ok(agreeing == all)
}

fn compare(backend: Backend, name: &str, scene: &Scene, out: &mut impl Write) -> Result<bool, fmt::Error> {
    let workers = Workers::serial().backend(backend);
    let found = AnyRule::named(name).and_then(|rule| hash(&workers, &rule, scene));
    let place = format_args!("differs: {name}, {}", scene.name);
    match (found, expected(name, scene)) {
        (Ok(found), Some(expected)) if found == expected => return Ok(true),
        (Ok(found), Some(expected)) => writeln!(out, "{place}: {found:016x}, not {expected:016x}")?,
        (Ok(found), None) => writeln!(out, "{place}: {found:016x}, and the table has nothing")?,
        (Err(error), _) => writeln!(out, "{place}: {error}")?,
    }
    Ok(false)
}
