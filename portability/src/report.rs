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
    let expected = expected(name, scene);
    match found {
        Ok(found) if expected == Some(found) => return Ok(true),
        Ok(found) => {
            writeln!(
                out,
                "differs: {name}, {}: {found:016x}, not {:016x}",
                scene.name,
                expected.unwrap_or(0)
            )?;
        }
        Err(error) => writeln!(out, "differs: {name}, {}: {error}", scene.name)?,
    }
    Ok(false)
}
