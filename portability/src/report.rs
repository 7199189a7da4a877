//! All rules of one backend against the table.

use core::fmt::{self, Write};

use gradstep::{AnyRule, Backend, Error, Workers};

use crate::{SCENES, expected, hash};

/// Compares these rules on `backend` with the table, and says how many agree; before it, which do not. True where all do.
///
/// # Errors
/// Those of `out`.
pub fn report(backend: Backend, rules: &[&str], out: &mut impl Write) -> Result<bool, fmt::Error> {
    let all = rules.len();
    let mut agreeing = 0;
    for name in rules {
        let mut agrees = true;
        for (run, head, found) in runs(backend, name) {
            agrees &= compare(name, run, found, expected(name, head), out)?;
        }
        agreeing += usize::from(agrees);
    }
    writeln!(out, "{backend} {} {} {agreeing}/{all}", backend.instructions(), backend.lanes())?;
    Ok(agreeing == all)
}

type Run = (&'static str, &'static str, Result<u64, Error>);

/// What each run comes to, with its name, and the head of the column of the table which has that.
fn runs(backend: Backend, name: &str) -> impl Iterator<Item = Run> {
    let workers = Workers::serial().backend(backend);
    let rule = AnyRule::named(name);
    let scenes = SCENES.iter().map(move |scene| {
        let found = rule.and_then(|rule| hash(&workers, &rule, scene));
        (scene.name, scene.name, found)
    });
    #[cfg(feature = "checkpoint")]
    let scenes = scenes.chain(interrupted_runs(rule, &workers));
    scenes
}

#[cfg(feature = "checkpoint")]
fn interrupted_runs(rule: Result<AnyRule, Error>, workers: &Workers) -> [Run; 2] {
    let found = rule.and_then(|rule| crate::interrupted(workers, &rule));
    [
        ("checkpoint", "checkpoint", found.map(|checkpoint| checkpoint.file)),
        ("noisy, resumed from it", "noisy", found.map(|checkpoint| checkpoint.run)),
    ]
}

fn compare(
    name: &str,
    run: &str,
    found: Result<u64, Error>,
    expected: Option<u64>,
    out: &mut impl Write,
) -> Result<bool, fmt::Error> {
    let place = format_args!("differs: {name}, {run}");
    match (found, expected) {
        (Ok(found), Some(expected)) if found == expected => return Ok(true),
        (Ok(found), Some(expected)) => writeln!(out, "{place}: {found:016x}, not {expected:016x}")?,
        (Ok(found), None) => writeln!(out, "{place}: {found:016x}, and the table has nothing")?,
        (Err(error), _) => writeln!(out, "{place}: {error}")?,
    }
    Ok(false)
}
