//! Telemetry as a picture: how the updates, the gradient and the angle between them develop.

use std::{io, ops::Range, path::Path};

use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
};

use crate::{
    drawing::{self, Area, Drawn, Entry, FONT, GRID, INK, Stroke},
    telemetry::ALL,
    training::Outcome,
};

const PANEL_HEIGHT: u32 = 290;

/// How many points a curve may have. Each is the mean of successive steps, for single batches are noisy.
const POINTS: usize = 120;

/// Figures outside are drawn at the edge of a logarithmic axis.
const SHOWN: Range<f64> = 1e-8..1e4;

struct Panel {
    column: &'static str,
    caption: &'static str,
    /// What is always within the axis.
    least: Range<f64>,
    logarithmic: bool,
}

const PANELS: [Panel; 3] = [
    Panel {
        column: "update_ratio",
        caption: "norm of the update by norm of the parameters",
        least: 5e-4..2e-3,
        logarithmic: true,
    },
    Panel { column: "grad_norm", caption: "norm of the gradient", least: 0.5..1.0, logarithmic: true },
    Panel { column: "cosine", caption: "cosine of update and gradient", least: 0.0..1.0, logarithmic: false },
];

/// Writes the picture, and makes the directories that it needs.
pub fn write(path: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    drawing::write(path, svg(outcomes))
}

fn svg(outcomes: &[Outcome]) -> Drawn<String> {
    let legend: Vec<_> = outcomes.iter().enumerate().map(|(index, outcome)| entry(index, outcome)).collect();
    drawing::svg(PANEL_HEIGHT * PANELS.len() as u32, &legend, |area| {
        let mut rest = area.clone();
        for panel in &PANELS {
            let (top, below) = rest.split_vertically(PANEL_HEIGHT);
            panel.draw(&top, &outcomes.iter().map(|outcome| panel.curve(outcome)).collect::<Vec<_>>())?;
            rest = below;
        }
        Ok(())
    })
}

fn entry(index: usize, outcome: &Outcome) -> Entry<'_> {
    Entry { stroke: Stroke::nth(index), name: &outcome.label, final_loss: outcome.final_loss_text() }
}

/// Steps and figures.
type Curve = Vec<(f64, f64)>;

impl Panel {
    /// The figures of all tensors together.
    fn curve(&self, outcome: &Outcome) -> Curve {
        let rows = outcome.telemetry.iter().filter(|row| row.tensor == ALL);
        let points: Curve =
            rows.filter_map(|row| Some((row.step as f64, self.shown(row.get(self.column)?)?))).collect();
        points.chunks(points.len().div_ceil(POINTS).max(1)).map(mean).collect()
    }

    fn shown(&self, figure: f64) -> Option<f64> {
        let shown = if self.logarithmic { figure.clamp(SHOWN.start, SHOWN.end) } else { figure };
        shown.is_finite().then_some(shown)
    }

    fn draw(&self, area: &Area<'_>, curves: &[Curve]) -> Drawn {
        let figures = || curves.iter().flatten().map(|&(_, figure)| figure);
        let (low, high) =
            (figures().fold(self.least.start, f64::min), figures().fold(self.least.end, f64::max));
        if self.logarithmic {
            self.draw_on(area, curves, (low / 1.3..high * 1.3).log_scale())
        } else {
            self.draw_on(area, curves, low..high)
        }
    }

    fn draw_on<Y>(&self, area: &Area<'_>, curves: &[Curve], figures: Y) -> Drawn
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(self.caption, (FONT, 20).with_color(INK))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(steps(curves), figures)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .x_label_formatter(&|step| step.to_string())
            .y_label_formatter(&|figure| (*figure as f32).to_string())
            .y_labels(6)
            .label_style((FONT, 16).with_color(INK))
            .axis_desc_style((FONT, 17).with_color(INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (index, curve) in curves.iter().enumerate() {
            chart.plotting_area().draw(&Stroke::nth(index).line(curve.clone()))?;
        }
        Ok(())
    }
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let sum = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    (sum.0 / points.len() as f64, sum.1 / points.len() as f64)
}

/// The steps to show: never an empty range, which has no scale.
fn steps(curves: &[Curve]) -> Range<f64> {
    0.0..curves.iter().flatten().fold(1.0, |last, &(step, _)| last.max(step))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{args::Args, data::Data, training::train};

    fn outcomes(words: &[&str]) -> Vec<Outcome> {
        let words = [&["digits", "--quiet", "--rule", "adam", "--telemetry", "unused"], words].concat();
        let args = Args::parse_from(words);
        args.rules().unwrap().into_iter().map(|rule| train(rule, &Data::load(), &args).unwrap()).collect()
    }

    #[test]
    fn every_rate_is_in_the_legend_and_no_curve_is_long() {
        let outcomes = outcomes(&["--epochs", "3", "--lr", "0.005,0.01"]);
        let svg = svg(&outcomes).unwrap();
        assert_eq!((svg.matches("adam 0.005").count(), svg.matches("adam 0.01").count()), (1, 1));
        for panel in &PANELS {
            let curve = panel.curve(&outcomes[0]);
            assert_eq!(curve.len(), 68, "{}: pairs of 135 steps", panel.column);
            assert!(curve.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn trainings_may_be_short_or_diverge_or_be_missing() {
        assert!(svg(&[]).is_ok());
        assert!(svg(&outcomes(&["--epochs", "1", "--batch", "2000"])).is_ok());
        assert!(svg(&outcomes(&["--epochs", "1", "--lr", "1e9,0"])).is_ok());
    }
}
