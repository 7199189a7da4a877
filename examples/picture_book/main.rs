//! Draws the path of every rule over two surfaces: one small picture for each rule, and a page that shows them
//! all. The pictures are the same bits on every machine, so that `--check` can tell whether those in the
//! repository are still what the rules do.
//!
//! ```text
//! cargo run --release --example picture_book
//! cargo run --release --example picture_book -- --check
//! ```

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use gradstep::AnyRule;

mod contour;
mod page;
mod picture;
mod surface;
mod svg;
mod walk;

/// Draws the path of every rule over a valley and a saddle
#[derive(Parser)]
struct Args {
    /// Where the pictures and their page are
    #[arg(long, value_name = "FOLDER", default_value = "docs/pictures")]
    out: PathBuf,

    /// Write nothing; fail if a file is not what would be written
    #[arg(long)]
    check: bool,
}

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What mends whatever `--check` finds.
const COMMAND: &str = "cargo run --release --example picture_book";

/// What a file is to hold.
struct Page {
    path: PathBuf,
    text: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Outcome {
    let pages = pages(&args.out)?;
    if args.check {
        check(&args.out, &pages)?;
    } else {
        write(&args.out, &pages)?;
    }
    let done = if args.check { "checked" } else { "written" };
    println!("{}: {} files {done}", args.out.display(), pages.len());
    Ok(())
}

fn pages(folder: &Path) -> Outcome<Vec<Page>> {
    let picture =
        |name: &&str| Ok(Page { path: folder.join(format!("{name}.svg")), text: picture::of(name)? });
    let mut pages = AnyRule::NAMES.iter().map(picture).collect::<Outcome<Vec<_>>>()?;
    pages.push(Page { path: folder.join("README.md"), text: page::page() });
    Ok(pages)
}

fn write(folder: &Path, pages: &[Page]) -> Outcome {
    let can_not = |path: &Path, error| format!("can't write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| can_not(folder, error))?;
    for Page { path, text } in pages {
        fs::write(path, text).map_err(|error| can_not(path, error))?;
    }
    Ok(())
}

fn check(folder: &Path, pages: &[Page]) -> Outcome {
    let mut faults = Vec::new();
    for Page { path, text } in pages {
        match fs::read(path) {
            Ok(found) if found == text.as_bytes() => {}
            Ok(_) => faults.push(format!("{} is out of date: mend it with `{COMMAND}`", path.display())),
            Err(error) => faults.push(format!("{}: {error}; mend it with `{COMMAND}`", path.display())),
        }
    }
    for path in strangers(folder, pages) {
        faults.push(format!("{} belongs to no rule: mend it with `rm {0}`", path.display()));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n       ").into()) }
}

/// The files in the folder that are not written here: those of a rule that has a new name, for example.
fn strangers(folder: &Path, pages: &[Page]) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut strangers: Vec<_> = files.filter(|path| pages.iter().all(|page| page.path != *path)).collect();
    strangers.sort();
    strangers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_missed_told_apart_or_not_known() {
        let folder = std::env::temp_dir().join(format!("picture_book-{}", std::process::id()));
        let page = |name: &str, text: &str| Page { path: folder.join(name), text: text.into() };
        write(&folder, &[page("a.svg", "a"), page("b.svg", "b")]).unwrap();
        let faults = |pages: &[Page]| check(&folder, pages).map_err(|error| error.to_string());
        assert_eq!(faults(&[page("a.svg", "a"), page("b.svg", "b")]), Ok(()));
        let refusal = faults(&[page("a.svg", "new"), page("c.svg", "c")]).unwrap_err();
        let lines: Vec<_> = refusal.lines().collect();
        assert!(lines[0].contains("a.svg is out of date") && lines[0].contains(COMMAND), "{refusal}");
        assert!(lines[1].contains("c.svg") && lines[1].contains(COMMAND), "{refusal}");
        assert!(lines[2].contains("b.svg belongs to no rule"), "{refusal}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
