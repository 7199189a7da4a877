//! What every step tells of itself, tensor by tensor: recorded, and written as a table.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use gradstep::{
    AnyRule, Error, Optimizer, Param, ParamId, Pass, Rule as _, Telemetry, TelemetrySlot, Tensor, Workers,
    full_slots,
};

use crate::{
    drawing::make_room,
    network::{PARAMS, TENSORS},
    training::Outcome,
};

/// The name of what is told of all tensors together.
pub const ALL: &str = "all";

type Column = (&'static str, fn(&Telemetry) -> f64);

/// The figures of a line. What is not finite is left empty: there is no ratio to parameters that are 0.
const COLUMNS: [Column; 12] = [
    ("grad_norm", Telemetry::grad_norm),
    ("clipped_grad_norm", Telemetry::clipped_grad_norm),
    ("update_norm", Telemetry::update_norm),
    ("param_norm", Telemetry::param_norm),
    ("max_update", |told| told.max_update().into()),
    ("update_ratio", Telemetry::update_ratio),
    ("cosine", Telemetry::cosine),
    ("sign_agreement", |told| told.sign_agreement().unwrap_or(f64::NAN)),
    ("zeros", |told| told.zeros() as f64),
    ("subnormals", |told| told.subnormals() as f64),
    ("non_finite", |told| told.non_finite() as f64),
    ("lost_updates", |told| told.lost_updates() as f64),
];

/// What one step did to one tensor.
pub struct Row {
    pub step: usize,
    pub tensor: &'static str,
    figures: [f64; COLUMNS.len()],
}

impl Row {
    fn new(step: usize, tensor: &'static str, told: &Telemetry) -> Self {
        Self { step, tensor, figures: COLUMNS.map(|(_, figure)| figure(told)) }
    }

    /// A figure by the name of its column.
    pub fn get(&self, column: &str) -> Option<f64> {
        let (_, figure) = COLUMNS.iter().zip(self.figures).find(|((name, _), _)| *name == column)?;
        Some(figure)
    }
}

/// Takes the steps of one training as passes with telemetry: the same bits as without.
pub struct Recorder {
    optimizer: Optimizer<AnyRule>,
    tensors: Vec<Watched>,
    pub rows: Vec<Row>,
}

struct Watched {
    id: ParamId,
    name: &'static str,
    len: usize,
    slot: TelemetrySlot,
}

impl Recorder {
    /// A rule that takes norms of whole tensors gets the network as one, since that is what it gets without telemetry.
    pub fn new(rule: AnyRule) -> Result<Self, Error> {
        let names =
            if full_slots(rule.slots()) < rule.slots().len() { &[("network", PARAMS)][..] } else { &TENSORS };
        let mut optimizer = Optimizer::new(rule)?;
        let mut watch = |&(name, len)| {
            Ok(Watched { id: optimizer.register(name, len)?, name, len, slot: TelemetrySlot::default() })
        };
        let tensors = names.iter().map(&mut watch).collect::<Result<_, Error>>()?;
        Ok(Self { optimizer, tensors, rows: Vec::new() })
    }

    pub fn step(&mut self, mut params: &mut [f32], mut grads: &[f32]) -> Result<(), Error> {
        let mut list = Vec::new();
        for Watched { id, len, slot, .. } in &self.tensors {
            let (these_params, later_params) = params.split_at_mut(*len);
            let (these_grads, later_grads) = grads.split_at(*len);
            let tensor = Tensor::new(these_params, these_grads, [])?.telemetry(slot);
            list.push(Param { id: *id, tensor });
            (params, grads) = (later_params, later_grads);
        }
        let report = self.optimizer.step_pass(&Workers::serial(), &Pass::new(), &mut list)?;
        assert_eq!(report.stepped, self.tensors.len());
        self.record();
        Ok(())
    }

    fn record(&mut self) {
        let step = self.rows.len() / (self.tensors.len() + 1) + 1;
        let mut all = Telemetry::default();
        for tensor in &self.tensors {
            let told = tensor.slot.get();
            self.rows.push(Row::new(step, tensor.name, &told));
            all.merge(&told);
        }
        self.rows.push(Row::new(step, ALL, &all));
    }
}

/// Writes all lines of all trainings, and makes the directories that the file needs.
pub fn write(path: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    make_room(path)?;
    let mut file = BufWriter::new(File::create(path)?);
    write_lines(&mut file, outcomes)?;
    file.flush()
}

fn write_lines(to: &mut impl Write, outcomes: &[Outcome]) -> io::Result<()> {
    let names = COLUMNS.map(|(name, _)| name).join(",");
    writeln!(to, "rule,lr,step,tensor,{names}")?;
    for outcome in outcomes {
        let lr = outcome.rule.get("lr").map_or(String::new(), |lr| lr.to_string());
        for Row { step, tensor, figures } in &outcome.telemetry {
            let figures = figures.map(cell).join(",");
            writeln!(to, "{},{lr},{step},{tensor},{figures}", outcome.rule.name())?;
        }
    }
    Ok(())
}

/// Six significant digits.
fn cell(figure: f64) -> String {
    if !figure.is_finite() {
        return String::new();
    }
    let rounded = format!("{figure:.5e}").parse().unwrap_or(figure);
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{args::Args, data::Data, training::train};

    const EPOCHS: usize = 2;
    const STEPS: usize = EPOCHS * 1437_usize.div_ceil(32);

    fn outcomes(words: &[&str]) -> Vec<Outcome> {
        let args = Args::parse_from([&["digits", "--quiet", "--epochs", "2"], words].concat());
        let data = Data::load();
        args.rules().unwrap().into_iter().map(|rule| train(rule, &data, &args).unwrap()).collect()
    }

    #[test]
    fn telemetry_changes_no_training() {
        for (with, without) in outcomes(&["--telemetry", "unused"]).iter().zip(outcomes(&[])) {
            let name = with.rule.name();
            assert_eq!(with.params, without.params, "{name}");
            assert_eq!(with.history, without.history, "{name}");
            assert_eq!(with.accuracy, without.accuracy, "{name}");
            assert!(!with.telemetry.is_empty() && without.telemetry.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_step_and_tensor() {
        let outcomes = outcomes(&["--rule", "adam,lamb,sgd", "--telemetry", "unused"]);
        let mut table = Vec::new();
        write_lines(&mut table, &outcomes).unwrap();
        let table = String::from_utf8(table).unwrap();
        let (header, lines) = table.split_once('\n').unwrap();
        assert!(header.starts_with("rule,lr,step,tensor,grad_norm,") && header.ends_with(",lost_updates"));
        let count = |start: &str| lines.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("sgd,0.2,"), STEPS * 5);
        assert_eq!(count("adam,0.005,"), STEPS * 5);
        assert_eq!(count("lamb,0.005,"), STEPS * 2);
        assert_eq!(lines.lines().count(), STEPS * 12);
    }

    #[test]
    fn figures_are_numbers_or_missing_for_a_reason() {
        for Row { step, tensor, figures } in
            &outcomes(&["--rule", "adam", "--telemetry", "unused"])[0].telemetry
        {
            for ((column, _), figure) in COLUMNS.iter().zip(figures) {
                let no_params_yet = *column == "update_ratio" && *step == 1 && tensor.ends_with("bias");
                assert!(figure.is_finite() != no_params_yet, "step {step}, {tensor}, {column}: {figure}");
            }
        }
    }

    #[test]
    fn all_tensors_are_told_of_together() {
        let outcome = &outcomes(&["--rule", "momentum", "--telemetry", "unused"])[0];
        for rows in outcome.telemetry.chunks(5) {
            let squares =
                |rows: &[Row]| rows.iter().map(|row| row.get("grad_norm").unwrap().powi(2)).sum::<f64>();
            let (tensors, all) = (squares(&rows[..4]), squares(&rows[4..]));
            assert_eq!(rows[4].tensor, ALL);
            assert!((tensors - all).abs() < 1e-9 * all, "{tensors} and {all}");
        }
    }

    #[test]
    fn cells_have_six_digits() {
        let cells = [0.0, 7.0, 0.123456789, -1.5e-7, f64::INFINITY, f64::NAN].map(cell);
        assert_eq!(cells, ["0", "7", "0.123457", "-0.00000015", "", ""]);
    }
}
