//! The loss curves as a picture.

use std::{io, ops::Range, path::Path};

use gradstep::train::Epoch;
use plotters::prelude::*;

use crate::{
    drawing::{self, Area, Drawn, Entry, FONT, GRID, INK, Stroke},
    training::Outcome,
};

const LEAST_HEIGHT: u32 = 600;

/// Losses outside are drawn at the edge: a logarithmic axis has no zero, and a rule that diverges would leave no room
/// for the others.
const SHOWN: Range<f64> = 1e-6..1e3;

/// Writes the picture, and makes the directories that it needs.
pub fn write(path: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    drawing::write(path, svg(&curves(outcomes)))
}

struct Curve<'a> {
    name: &'a str,
    /// Epochs and losses.
    points: Vec<(u32, f64)>,
    final_loss: String,
    stroke: Stroke,
}

impl Curve<'_> {
    fn entry(&self) -> Entry<'_> {
        Entry { stroke: self.stroke, name: self.name, final_loss: self.final_loss.clone() }
    }
}

/// The curves, highest final loss first, which is the order of their right ends.
fn curves(outcomes: &[Outcome]) -> Vec<Curve<'_>> {
    let mut outcomes: Vec<_> = outcomes.iter().enumerate().collect();
    let height = |outcome: &Outcome| outcome.final_loss().unwrap_or(f64::INFINITY);
    outcomes.sort_by(|(_, a), (_, b)| height(b).total_cmp(&height(a)));
    outcomes.into_iter().map(|(index, outcome)| curve(index, outcome)).collect()
}

fn curve(index: usize, outcome: &Outcome) -> Curve<'_> {
    let point = |epoch: &Epoch| (epoch.number, epoch.loss.clamp(SHOWN.start, SHOWN.end));
    Curve {
        name: &outcome.label,
        points: outcome.history.iter().map(point).collect(),
        final_loss: outcome.final_loss_text(),
        stroke: Stroke::nth(index),
    }
}

fn svg(curves: &[Curve<'_>]) -> Drawn<String> {
    let legend: Vec<_> = curves.iter().map(Curve::entry).collect();
    drawing::svg(LEAST_HEIGHT, &legend, |area| draw_plot(area, curves))
}

fn draw_plot(area: &Area<'_>, curves: &[Curve<'_>]) -> Drawn {
    let losses = losses(curves);
    let ticks = ticks(&losses);
    let mut chart = ChartBuilder::on(area)
        .caption("Handwritten digits: training loss", (FONT, 24).with_color(INK))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(epochs(curves), losses.log_scale().with_key_points(ticks))?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .y_desc("mean loss of the epoch (logarithmic)")
        .y_label_formatter(&|loss| label(*loss))
        .label_style((FONT, 16).with_color(INK))
        .axis_desc_style((FONT, 17).with_color(INK))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.4))
        .draw()?;
    for curve in curves {
        chart.plotting_area().draw(&curve.stroke.line(curve.points.clone()))?;
        chart
            .draw_series(curve.points.last().map(|&end| Circle::new(end, 4, curve.stroke.color.filled())))?;
    }
    Ok(())
}

/// The epochs to show: never an empty range, which has no scale.
fn epochs(curves: &[Curve<'_>]) -> Range<u32> {
    let last = curves.iter().map(|curve| curve.points.len() as u32).max();
    1..last.unwrap_or(0).max(2)
}

/// The losses to show, with a margin. 1 is always among them, so that the range is never empty.
fn losses(curves: &[Curve<'_>]) -> Range<f64> {
    let losses = || curves.iter().flat_map(|curve| &curve.points).map(|&(_, loss)| loss);
    losses().fold(1.0, f64::min) / 1.3..losses().fold(1.0, f64::max) * 1.3
}

/// The losses to label: 1, 2 and 5 times each power of ten, where the axis itself would label powers of ten alone.
fn ticks(range: &Range<f64>) -> Vec<f64> {
    let powers = (-9..=9).map(|exponent| 10.0_f64.powi(exponent));
    let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power));
    ticks.filter(|tick| range.contains(tick)).collect()
}

fn label(loss: f64) -> String {
    // As `f32`, a multiple of a power of ten is rid of its rounding error.
    let loss = loss as f32;
    if loss < 1e-3 { format!("{loss:e}") } else { loss.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing::STROKES;

    fn curve(points: Vec<(u32, f64)>, index: usize) -> Curve<'static> {
        Curve { name: "some-rule", points, final_loss: "0.25".to_owned(), stroke: Stroke::nth(index) }
    }

    #[test]
    fn every_curve_is_in_the_legend() {
        let curves = [0, 1].map(|index| curve(vec![(1, 2.0), (2, 0.5), (3, 0.25)], index));
        let svg = svg(&curves).unwrap();
        assert_eq!(svg.matches("some-rule").count(), 2);
        assert_eq!(svg.matches("0.25").count(), 2);
    }

    #[test]
    fn curves_may_be_short_or_flat_or_missing() {
        let point = || vec![(1, 1.0)];
        for points in [vec![], point(), [point(), point()].concat(), vec![(1, SHOWN.start), (2, SHOWN.end)]] {
            for index in 0..STROKES {
                assert!(svg(&[curve(points.clone(), index)]).is_ok());
            }
        }
        assert!(svg(&[]).is_ok());
    }

    #[test]
    fn ticks_are_round_numbers_of_the_range() {
        assert_eq!(ticks(&(0.15..6.0)), [0.2, 0.5, 1.0, 2.0, 5.0]);
        assert_eq!(ticks(&(1.5e-5..1.5e-2)).last().map(|&tick| label(tick)).as_deref(), Some("0.01"));
        assert_eq!(ticks(&(1.5e-5..1.5e-4)).first().map(|&tick| label(tick)).as_deref(), Some("2e-5"));
    }
}
