//! A rule is one file and one line in the registry. What else must know of it is found out here, with the mend.

use std::{collections::BTreeSet, fs, path::Path};

use gradstep::{AnyRule, Rule, Value, full_slots};
use testkit::{Configuration, configurations_of, presets};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files in a folder, without their endings.
fn stems(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file());
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

/// A rule's row in README's table, cell by cell.
struct Row {
    name: &'static str,
    cells: Vec<String>,
}

impl Row {
    fn of(name: &'static str, readme: &str) -> Self {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| {
            panic!(
                "README.md has no row for {name}: add one to its table, which starts with \"| `{name}` |\""
            )
        });
        let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        assert_eq!(cells.len(), 6, "README.md's row for {name} must have the cells of the table's head");
        Self { name, cells }
    }

    fn is(&self, fits: bool, wanted: impl std::fmt::Display) {
        assert!(fits, "README.md's row for {} should have {wanted}: {:?}", self.name, self.cells);
    }

    fn has_state(&self, expected: &BTreeSet<&str>) {
        let named: BTreeSet<_> = self.cells[2].split('`').skip(1).step_by(2).collect();
        self.is(named == *expected, format_args!("the state {expected:?}"));
        self.is(self.cells[2].contains("none") == expected.is_empty(), "\"none\" where there is no state");
    }

    /// What a step reads and writes: parameter and gradient, and each value of state twice.
    /// A scalar costs nothing worth counting.
    fn has_bytes(&self, presets: &[Configuration], all: &[Configuration]) {
        let slices = |rule: &AnyRule| full_slots(rule.slots());
        let bytes = |of: &[Configuration]| -> BTreeSet<usize> {
            of.iter().map(|configuration| 12 + 8 * slices(&configuration.rule)).collect()
        };
        let (usual, possible) = (bytes(presets), bytes(all));
        let words = self.cells[3].split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
        let given: BTreeSet<usize> = words.map(|word| word.parse().unwrap()).collect();
        self.is(usual.is_subset(&given), format_args!("the bytes {usual:?} of its presets"));
        self.is(given.is_subset(&possible), format_args!("no bytes but of {possible:?}"));
        self.is(given.last() == possible.last(), format_args!("the most bytes of {possible:?}"));
    }

    fn has_presets(&self, expected: &[&str]) {
        self.is(
            self.cells[4].split(", ").eq(expected.iter().copied()),
            format_args!("the presets {expected:?}"),
        );
    }

    /// Names, and a year for each.
    fn has_papers(&self) {
        for paper in self.cells[5].split("; ") {
            let year = paper.rsplit(' ').next().and_then(|year| year.parse().ok());
            let authors = paper.starts_with(char::is_uppercase);
            self.is(authors && matches!(year, Some(1950..2100)), "papers as \"Author 2001; Others 2002\"");
        }
    }
}

#[test]
fn the_readme_has_a_row_for_each_rule() {
    let readme = read("README.md");
    for name in AnyRule::NAMES {
        let row = Row::of(name, &readme);
        let configurations = configurations_of(name);
        row.is(!row.cells[1].is_empty(), "a formula");
        row.has_state(
            &configurations.iter().flat_map(|one| one.rule.slots()).map(|slot| slot.name).collect(),
        );
        row.has_bytes(&presets(name), &configurations);
        row.has_presets(AnyRule::presets(name));
        row.has_papers();
    }
}

#[test]
fn the_readme_has_the_rules_in_order() {
    let readme = read("README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("The rules\n")).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    assert_eq!(rows.map(|(name, _)| name).collect::<Vec<_>>(), AnyRule::NAMES);
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
        "testkit/src/configurations.rs",
        "benches/step/main.rs",
        "fuzz/src/lib.rs",
        "examples/digits/args.rs",
        "examples/picture_book/main.rs",
        "portability/runner/src/hosted.rs",
        "portability/runner/src/main.rs",
        "tests/hashes.rs",
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
