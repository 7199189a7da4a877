//! A rule is one file and one line in the registry. What else must know of it is found out here, with the mend.

use std::fs;
use std::path::Path;

use gradstep::{AnyRule, Rule, Value};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files in a folder, without their endings.
fn stems(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_file_of_a_rule_is_registered() {
    for stem in stems("src/rules") {
        assert!(
            AnyRule::NAMES.contains(&stem.as_str()),
            "src/rules/{stem}.rs is not in the registry: add a line for it to the table in src/rules.rs"
        );
    }
}

#[test]
fn the_readme_has_a_row_for_each_rule() {
    let readme = read("README.md");
    for name in AnyRule::NAMES {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| {
            panic!(
                "README.md has no row for {name}: add one to its table, which starts with \"| `{name}` |\""
            )
        });
        for state in AnyRule::named(name).unwrap().state() {
            assert!(
                row.contains(&format!("`{state}`")),
                "README.md's row for {name} does not name the state {state}"
            );
        }
    }
}

#[test]
fn the_accuracy_test_has_a_reference_and_a_line_for_each_rule() {
    let (reference, table) = (read("tests/accuracy/reference.rs"), read("docs/precision.md"));
    for name in AnyRule::NAMES {
        assert!(
            reference.contains(&format!("\"{name}\"")),
            "tests/accuracy/reference.rs lacks {name}: add a formula"
        );
        assert!(
            table.contains(&format!("| `{name}` |")),
            "docs/precision.md lacks {name}: run WRITE_PRECISION=1 cargo test --test accuracy"
        );
    }
}

/// What goes over the registry by itself must go on doing so.
#[test]
fn the_other_places_walk_the_registry() {
    for file in [
        "tests/common/mod.rs",
        "benches/step/main.rs",
        "fuzz/fuzz_targets/backends.rs",
        "examples/digits/args.rs",
        "examples/picture_book/main.rs",
    ] {
        assert!(
            read(file).contains("AnyRule::NAMES"),
            "{file} does not walk AnyRule::NAMES: it would not see a rule that is added"
        );
    }
}

#[test]
fn the_documentation_of_each_rule_is_complete() {
    for name in AnyRule::NAMES {
        let text = read(&format!("src/rules/{name}.rs"));
        let mut from = 0;
        for part in ["```text", "**Defaults**", "```\n", "**Paper", "**Where frameworks differ**"] {
            let found = text[from..].find(part);
            from += found.unwrap_or_else(|| {
                panic!("src/rules/{name}.rs: the documentation lacks {part}, or has it too early")
            });
        }
    }
}

#[test]
fn names_and_presets() {
    for name in AnyRule::NAMES {
        let usual = AnyRule::named(name).unwrap();
        assert_eq!(usual.name(), *name);
        let presets = AnyRule::presets(name);
        assert_eq!(AnyRule::preset(name, presets[0]), Ok(usual));
        for preset in presets {
            let rule = AnyRule::preset(name, preset).unwrap();
            assert!(
                matches!(rule.get("lr"), Some(Value::Number(lr)) if lr > 0.0),
                "{name}/{preset} has no lr"
            );
        }
    }
    assert_eq!(AnyRule::presets("none"), &[] as &[&str]);
}
