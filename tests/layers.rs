//! The layers of `src/`: a file imports from its own folder, or from one further up the list.
//!
//! Where this fails, either the import is not needed, or the thing that is imported stands too low: move it to the layer that
//! both may see. docs/architecture.md says what belongs where.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// From what knows nothing to what knows everything. The front door, `step`, comes last.
const LAYERS: [&str; 14] = [
    "name", "error", "numbers", "simd", "formats", "rule", "tensor", "rules", "sweep", "threads", "pass",
    "model", "step", "training",
];

/// Imports that go down the list, and why each has to.
const EXCEPTIONS: [(&str, &str, &str); 7] = [
    ("error", "formats::half", MESSAGES),
    ("error", "rule::slots", MESSAGES),
    ("error", "rule::state_kind", MESSAGES),
    ("error", "rule::values", MESSAGES),
    ("rule::rule", "sweep::erased", PRECOMPILED),
    ("rule::declare", "sweep::erased", PRECOMPILED),
    ("rule::registry", "sweep::erased", PRECOMPILED),
];

const MESSAGES: &str = "a refusal shows plain data, which does not know how to refuse";

const PRECOMPILED: &str = "one hidden method has the loops of the crate's own rules compiled with the crate, and not with every program";

/// The files of `src/` by their module paths, each with the modules that its `use crate::` lines name.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let modules = files.iter().map(|file| module(&root, file)).collect::<BTreeSet<_>>();
    let mut imports = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut named = BTreeSet::new();
        for path in paths(&text) {
            named.insert(defining_module(&path, &modules).unwrap_or(path));
        }
        imports.insert(module(&root, &file), named);
    }
    imports
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if !path.ends_with("mod.rs") && !path.ends_with("lib.rs") {
            files.push(path);
        }
    }
}

fn module(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).unwrap().with_extension("");
    inside.iter().map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("::")
}

/// All paths that begin with `crate::`, outside of comments and tests, with braces resolved.
fn paths(text: &str) -> Vec<String> {
    let code: String = text
        .split("#[cfg(test)]")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        tree(&code[at + "crate::".len()..], "", &mut paths);
    }
    paths
}

/// The leaves of a use tree; what follows it is left.
fn tree<'c>(code: &'c str, prefix: &str, leaves: &mut Vec<String>) -> &'c str {
    let code = code.trim_start();
    if let Some(mut inside) = code.strip_prefix('{') {
        loop {
            inside = inside.trim_start();
            if let Some(rest) = inside.strip_prefix('}') {
                return rest;
            }
            inside = tree(inside, prefix, leaves).trim_start();
            inside = inside.strip_prefix(',').unwrap_or(inside);
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '*';
    let (name, rest) = code.split_at(code.find(|c| !is_part(c)).unwrap_or(code.len()));
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) => tree(rest, &path, leaves),
        None => {
            leaves.push(path);
            rest
        }
    }
}

/// The longest beginning of a path that is a file.
fn defining_module(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<_> = path.split("::").collect();
    (1..=parts.len()).rev().map(|n| parts[..n].join("::")).find(|module| modules.contains(module))
}

fn layer(module: &str) -> Option<usize> {
    let folder = module.split("::").next().unwrap();
    LAYERS.iter().position(|layer| *layer == folder)
}

#[test]
fn every_file_is_in_a_layer() {
    for module in imports().keys() {
        assert!(
            layer(module).is_some(),
            "src/{module}.rs is in no layer: put it into a folder, or the folder into LAYERS"
        );
    }
}

#[test]
fn nothing_is_imported_through_lib_rs() {
    for (module, named) in imports() {
        for path in named {
            assert!(
                layer(&path).is_some(),
                "{module} imports crate::{path}: name the module that defines it"
            );
        }
    }
}

#[test]
fn imports_go_up_the_layers() {
    let mut wrong = Vec::new();
    for (module, named) in imports() {
        for other in named {
            let excepted =
                EXCEPTIONS.iter().any(|(from, to, _)| module.starts_with(from) && other.starts_with(to));
            if layer(&other) > layer(&module) && !excepted {
                wrong.push(format!("{module} imports {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these look down from their layer:\n{}", wrong.join("\n"));
}

#[test]
fn every_exception_is_needed() {
    let imports = imports();
    for (from, to, why) in EXCEPTIONS {
        let needed = imports.get(from).is_some_and(|named| named.contains(to));
        assert!(needed, "{from} does not import {to} any more ({why}): take the exception out");
    }
}

#[test]
fn no_two_files_import_each_other() {
    let imports = imports();
    let mut wrong = Vec::new();
    for (module, named) in &imports {
        for other in named.iter().filter(|other| *other > module) {
            if imports.get(other).is_some_and(|back| back.contains(module)) {
                wrong.push(format!("{module} and {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these import each other:\n{}", wrong.join("\n"));
}
