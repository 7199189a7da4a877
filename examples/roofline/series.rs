//! The lines of one size and number of threads, which the picture shows in one colour.

use crate::{
    case::{Case, Level},
    machine::count,
    measure::Line,
    table::size,
};

pub struct Series<'a> {
    pub label: String,
    pub lines: Vec<&'a Line>,
}

impl<'a> Series<'a> {
    /// In the order in which they come first.
    pub fn of(lines: &'a [Line], level: Level) -> Vec<Self> {
        let mut series: Vec<Self> = Vec::new();
        for line in lines.iter().filter(|line| line.case.level == level) {
            let label = label(&line.case);
            match series.iter_mut().find(|series| series.label == label) {
                Some(series) => series.lines.push(line),
                None => series.push(Self { label, lines: vec![line] }),
            }
        }
        series
    }
}

fn label(case: &Case) -> String {
    match case.level {
        Level::Memory => format!("{}, {}", size(case.elements), count(case.threads)),
        Level::Cache => size(case.elements),
    }
}
