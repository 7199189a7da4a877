//! The comparison as text.

use std::fmt;

use gradstep::{Rule as _, train::Batch};

use crate::{network::PARAMS, training::Outcome};

/// One line for each rule. The time is that of a step alone, as [`timing`](crate::timing) takes it during the
/// training, divided by the number of parameters.
pub struct Table<'a>(pub &'a [Outcome]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header =
            ["rule", "lr", "batch", "epochs", "final loss", "test accuracy", "ns per parameter-step"];
        line(f, header.map(str::to_owned))?;
        self.0.iter().try_for_each(|outcome| line(f, cells(outcome)))
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    [rule, lr, batch, epochs, loss, accuracy, time]: [String; 7],
) -> fmt::Result {
    writeln!(f, "{rule:<12}{lr:>8}{batch:>8}{epochs:>8}{loss:>12}{accuracy:>15}{time:>23}")
}

fn cells(outcome: &Outcome) -> [String; 7] {
    let lr = outcome.rule.get("lr").map_or("-".to_owned(), |lr| lr.to_string());
    let nanos = outcome.step_time.as_nanos() as f64 / PARAMS as f64;
    [
        outcome.rule.name().to_owned(),
        lr,
        if let Batch::Mini(len) = outcome.batch { len.to_string() } else { "all".to_owned() },
        outcome.history.len().to_string(),
        outcome.final_loss_text(),
        format!("{:.1} %", outcome.accuracy * 100.0),
        format!("{nanos:.2}"),
    ]
}
