//! The loss curves as a picture.

use std::{error::Error, fs, io, ops::Range, path::Path};

use gradstep::{Rule as _, train::Epoch};
use plotters::{
    coord::Shift,
    element::{DashedPathElement, DynElement, IntoDynElement as _},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::training::Outcome;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const WIDTH: u32 = 1000;
const LEAST_HEIGHT: u32 = 600;
const LEGEND_WIDTH: u32 = 220;
const LEGEND_TOP: i32 = 62;
const LEGEND_LINE: i32 = 24;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// Losses outside are drawn at the edge: a logarithmic axis has no zero, and a rule that diverges would leave no room
/// for the others.
const SHOWN: Range<f64> = 1e-6..1e3;

const PALETTE: [RGBColor; 8] = [
    RGBColor(31, 111, 180),
    RGBColor(235, 130, 20),
    RGBColor(40, 145, 65),
    RGBColor(205, 35, 50),
    RGBColor(130, 90, 190),
    RGBColor(110, 75, 60),
    RGBColor(230, 100, 180),
    RGBColor(25, 175, 185),
];

/// When the colours are used up they come again with the next of these: the lengths of a line's dashes and gaps.
const DASHES: [Option<[i32; 2]>; 5] = [None, Some([7, 4]), Some([2, 3]), Some([16, 4]), Some([2, 9])];

/// Writes the picture, and makes the directories that it needs.
pub fn write(path: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    let svg = svg(&curves(outcomes)).map_err(|error| io::Error::other(error.to_string()))?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, svg)
}

struct Curve<'a> {
    name: &'a str,
    /// Epochs and losses.
    points: Vec<(u32, f64)>,
    final_loss: String,
    color: RGBColor,
    dashes: Option<[i32; 2]>,
}

impl Curve<'_> {
    fn line<'e, C: Clone + 'e>(&self, points: Vec<C>) -> DynElement<'e, SVGBackend<'e>, C> {
        let style = self.color.stroke_width(2);
        match self.dashes {
            Some([dash, gap]) => DashedPathElement::new(points, dash, gap, style).into_dyn(),
            None => PathElement::new(points, style).into_dyn(),
        }
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
        name: outcome.rule.name(),
        points: outcome.history.iter().map(point).collect(),
        final_loss: outcome.final_loss_text(),
        color: PALETTE[index % PALETTE.len()],
        dashes: DASHES[index / PALETTE.len() % DASHES.len()],
    }
}

fn svg(curves: &[Curve<'_>]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (WIDTH, height(curves.len()))).into_drawing_area();
    root.fill(&WHITE)?;
    let (plot, legend) = root.split_horizontally(WIDTH - LEGEND_WIDTH);
    draw_plot(&plot, curves)?;
    draw_legend(&legend, curves)?;
    root.present()?;
    // The three areas share the backend that borrows the text.
    drop((root, plot, legend));
    Ok(svg)
}

/// Enough for the legend.
fn height(curves: usize) -> u32 {
    LEAST_HEIGHT.max(LEGEND_TOP as u32 + LEGEND_LINE as u32 * (curves as u32 + 1))
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
        chart.plotting_area().draw(&curve.line(curve.points.clone()))?;
        chart.draw_series(curve.points.last().map(|&end| Circle::new(end, 4, curve.color.filled())))?;
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

fn draw_legend(area: &Area<'_>, curves: &[Curve<'_>]) -> Drawn {
    draw_legend_texts(area, LEGEND_TOP, "rule", "final loss")?;
    for (curve, line) in curves.iter().zip(1..) {
        let y = LEGEND_TOP + line * LEGEND_LINE;
        area.draw(&curve.line(vec![(8, y), (44, y)]))?;
        draw_legend_texts(area, y, curve.name, &curve.final_loss)?;
    }
    Ok(())
}

fn draw_legend_texts(area: &Area<'_>, y: i32, left: &str, right: &str) -> Drawn {
    let style = TextStyle::from((FONT, 17).into_font()).color(&INK);
    area.draw(&Text::new(left, (54, y), style.pos(Pos::new(HPos::Left, VPos::Center))))?;
    area.draw(&Text::new(right, (204, y), style.pos(Pos::new(HPos::Right, VPos::Center))))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: Vec<(u32, f64)>, dashes: Option<[i32; 2]>) -> Curve<'static> {
        Curve { name: "some-rule", points, final_loss: "0.25".to_owned(), color: PALETTE[0], dashes }
    }

    #[test]
    fn every_curve_is_in_the_legend() {
        let curves = [DASHES[0], DASHES[1]].map(|dashes| curve(vec![(1, 2.0), (2, 0.5), (3, 0.25)], dashes));
        let svg = svg(&curves).unwrap();
        assert_eq!(svg.matches("some-rule").count(), 2);
        assert_eq!(svg.matches("0.25").count(), 2);
    }

    #[test]
    fn curves_may_be_short_or_flat_or_missing() {
        let point = || vec![(1, 1.0)];
        for points in [vec![], point(), [point(), point()].concat(), vec![(1, SHOWN.start), (2, SHOWN.end)]] {
            for dashes in DASHES {
                assert!(svg(&[curve(points.clone(), dashes)]).is_ok());
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
