//! The page that shows all pictures.

use gradstep::AnyRule;

use crate::{
    COMMAND,
    picture::DOTS,
    surface::{SADDLE, Surface, VALLEY},
    walk::STEPS,
};

const COLUMNS: usize = 2;

pub fn page() -> String {
    format!(
        "# The rules, drawn

Each rule walks {STEPS} steps over two surfaces:

{}
{}

The red disc is the start, a ring is a minimum, and a line is a height. The path has a dot every {DOTS}
steps: where dots are far apart the rule is fast, where they crowd it is slow or has arrived. Each path has
the smallest learning rate, of 1, 2 and 5 times the powers of ten, that brings the rule to a minimum in so
many steps without leaving the picture, or else the one that ends lowest; all other options are those of the
rule's usual preset.

What to look for: in the valley, whether a rule swings from side to side, cuts across or turns along the
floor; on the saddle, how far it goes towards the middle, where the slope vanishes, before it finds the way
down. Nobody estimates the Hessian for `sophia` here: with zeros for it, its paths are those of Signum.

These files are written by `{COMMAND}`.

{}",
        item(&VALLEY, "long and narrow, and not along an axis"),
        item(&SADDLE, "bounded by its last term; the start is a little off the ridge"),
        table(),
    )
}

fn item(surface: &Surface, remark: &str) -> String {
    format!("- the {}, `{}`: {remark}.", surface.name, surface.formula)
}

fn table() -> String {
    let mut table = format!("|{}\n|{}\n", " |".repeat(COLUMNS), "---|".repeat(COLUMNS));
    for row in AnyRule::NAMES.chunks(COLUMNS) {
        let cells: String = row.iter().map(|name| format!(" ![the paths of {name}]({name}.svg) |")).collect();
        table += &format!("|{cells}{}\n", " |".repeat(COLUMNS - row.len()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_picture() {
        for name in AnyRule::NAMES {
            assert_eq!(page().matches(&format!("]({name}.svg)")).count(), 1, "{name}");
        }
    }
}
