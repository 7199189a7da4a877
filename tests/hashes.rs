//! One hash for each rule and scene, of all its bits in 1000 steps, the same on every backend, at any number of threads,
//! and on every machine: `.ci/targets` compares the same table elsewhere.

use std::{env, fmt::Write, fs};

use gradstep::{AnyRule, Backend, Join, Workers};
use gradstep_hash::{Checkpoint, SCENES, Scene, TABLE, expected, hash, interrupted};
use rayon::ThreadPoolBuilder;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/portability/hashes.txt");
const HEAD: &str = "# What each rule's bits come to in each scene of portability/src/scene.rs. Written by \
                    WRITE_HASHES=1 cargo test --test hashes";
const MEND: &str = "where bits were meant to change, or a rule is new, WRITE_HASHES=1 cargo test --test hashes writes \
                    portability/hashes.txt; what every other rule has there must stay as it was";

fn writing() -> bool {
    env::var_os("WRITE_HASHES").is_some()
}

fn hash_of(name: &str, scene: &Scene, workers: &Workers<impl Join>) -> u64 {
    let rule = AnyRule::named(name).unwrap();
    hash(workers, &rule, scene).unwrap_or_else(|error| panic!("{name}, scene {}: {error}", scene.name))
}

/// By the table; where that is about to be written, by the meaning of all backends.
fn reference(name: &str, scene: &Scene) -> Option<u64> {
    let scalar = Workers::serial().backend(Backend::SCALAR);
    if writing() { Some(hash_of(name, scene, &scalar)) } else { expected(name, scene.name) }
}

const CHECKPOINT: &str = "checkpoint";

fn checkpoint(name: &str, workers: &Workers<impl Join>) -> Checkpoint {
    interrupted(workers, &AnyRule::named(name).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Fails with all rules and scenes in which these workers come to another hash.
fn compare(on: &str, workers: &Workers<impl Join>) {
    let mut differences = String::new();
    for name in AnyRule::NAMES {
        for scene in SCENES {
            let (found, reference) = (hash_of(name, scene, workers), reference(name, scene));
            if reference != Some(found) {
                let reference = reference.map_or("nothing".to_owned(), |hash| format!("{hash:016x}"));
                let place = format!("{name}, scene {}, {on}", scene.name);
                writeln!(differences, "{place}: {found:016x}, the table has {reference}").unwrap();
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}{MEND}");
}

fn table() -> String {
    let heads = SCENES.iter().map(|scene| scene.name).chain([CHECKPOINT]);
    let heads: String = heads.map(|head| format!(" {head:16}")).collect();
    let head = format!("# {:17}{heads}", "rule");
    let row = |name: &&str| {
        let file = if writing() {
            Some(checkpoint(name, &Workers::serial()).file)
        } else {
            expected(name, CHECKPOINT)
        };
        let hashes = SCENES.iter().filter_map(|scene| reference(name, scene)).chain(file);
        hashes.fold(format!("{name:19}"), |row, hash| format!("{row} {hash:016x}"))
    };
    let rows: Vec<_> = AnyRule::NAMES.iter().map(row).collect();
    format!("{HEAD}\n{}\n{}\n", head.trim_end(), rows.join("\n"))
}

/// A row for each rule, a column for each scene, and nothing else.
#[test]
fn the_table_is_complete() {
    if writing() {
        fs::write(PATH, table()).unwrap();
    } else {
        assert!(TABLE == table(), "portability/hashes.txt has a row or a column too few or too many: {MEND}");
    }
}

#[test]
fn every_backend() {
    for backend in Backend::available() {
        compare(&format!("backend {backend}"), &Workers::serial().backend(backend));
    }
}

/// What goes on from a file is the unbroken run, and on every machine it is the same file.
#[test]
fn a_checkpoint_is_resumed() {
    for name in AnyRule::NAMES {
        let Checkpoint { file, run } = checkpoint(name, &Workers::serial());
        assert_eq!(Some(run), reference(name, &SCENES[0]), "{name}: the resumed run has other bits");
        assert!(writing() || Some(file) == expected(name, CHECKPOINT), "{name}: another file: {MEND}");
    }
}

/// Shared from the first byte on. Tensors as small as these are packed into one part; `properties`, `model` and `whole`
/// have such as are cut.
#[test]
fn every_number_of_threads() {
    for threads in 1..=3 {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let workers = Workers::new(&pool).serial_below(0);
        compare(&format!("{threads} threads"), &workers);
    }
}
