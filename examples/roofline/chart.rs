//! The results as a picture: one panel for memory, one for the cache.

use std::{error::Error, fs, io, ops::Range, path::Path};

use gradstep::Rule as _;
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{case::Level, measure::Line, series::Series};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Panel<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn Error>>;

const SIZE: (u32, u32) = (1200, 920);
const TITLE_HEIGHT: u32 = 84;
const LEGEND_WIDTH: u32 = 230;
const LEGEND_TOP: i32 = 64;
const LEGEND_LINE: i32 = 26;
const MARKER: i32 = 5;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const PALE: RGBColor = RGBColor(120, 120, 120);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// Two blues and two oranges: a colour for each size, the strong one for all threads.
const MEMORY_COLORS: [RGBColor; 4] =
    [RGBColor(25, 90, 165), RGBColor(125, 180, 225), RGBColor(200, 85, 10), RGBColor(245, 175, 100)];

/// The stronger the larger.
const CACHE_COLORS: [RGBColor; 4] =
    [RGBColor(165, 215, 170), RGBColor(95, 180, 115), RGBColor(30, 135, 75), RGBColor(5, 80, 45)];

/// Writes the picture, and makes the directories that it needs.
pub fn write(path: &Path, machine: &str, lines: &[Line]) -> io::Result<()> {
    let svg = svg(machine, lines).map_err(|error| io::Error::other(error.to_string()))?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, svg)
}

fn svg(machine: &str, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (title, panels) = root.split_vertically(TITLE_HEIGHT);
    draw_title(&title, machine)?;
    let (memory, cache) = panels.split_vertically((SIZE.1 - TITLE_HEIGHT) / 2);
    draw_level(&memory, lines, Level::Memory, "From memory", &MEMORY_COLORS)?;
    draw_level(&cache, lines, Level::Cache, "From the cache, one thread", &CACHE_COLORS)?;
    root.present()?;
    // The areas share the backend that borrows the text.
    drop((root, title, panels, memory, cache));
    Ok(svg)
}

fn draw_title(area: &Area<'_>, machine: &str) -> Drawn {
    let middle = SIZE.0 as i32 / 2;
    draw_text(
        area,
        "How near each rule comes to the limit of the machine",
        (middle, 30),
        26,
        INK,
        HPos::Center,
    )?;
    draw_text(area, machine, (middle, 62), 17, PALE, HPos::Center)
}

fn draw_level(area: &Area<'_>, lines: &[Line], level: Level, title: &str, colors: &[RGBColor]) -> Drawn {
    let series = Series::of(lines, level);
    let (plot, legend) = area.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    let rules = rules(lines);
    let mut panel = panel(&plot, title, &rules, percents(&series))?;
    for (place, (series, color)) in series.iter().zip(colors).enumerate() {
        let shift = (place as f64 + 1.0) / (colors.len() as f64 + 1.0) + 0.5;
        draw_series(&mut panel, series, shift, *color, &rules)?;
    }
    draw_legend(&legend, &series, colors)
}

/// The names of the rules, in the order of the lines.
fn rules(lines: &[Line]) -> Vec<&'static str> {
    let mut names: Vec<_> = lines.iter().map(|line| line.case.rule.name()).collect();
    names.dedup();
    names
}

/// The percentages to show: all medians, and what a quiet machine needs beside them.
fn percents(series: &[Series<'_>]) -> Range<f64> {
    let medians = || series.iter().flat_map(|series| &series.lines).map(|line| 100.0 * line.roof().median);
    let low = medians().fold(70.0, f64::min) - 5.0;
    let high = medians().fold(105.0, f64::max) + 5.0;
    (low / 10.0).floor() * 10.0..(high / 10.0).ceil() * 10.0
}

/// Axes, a column for each rule, and the line that nothing should cross.
fn panel<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    rules: &[&str],
    percents: Range<f64>,
) -> Result<Panel<'a, 'b>, Box<dyn Error>> {
    let (first, last) = (0.5, rules.len() as f64 + 0.5);
    let mut panel = ChartBuilder::on(area)
        .caption(title, (FONT, 20).with_color(INK))
        .margin(14)
        .x_label_area_size(30)
        .y_label_area_size(66)
        .build_cartesian_2d(first..last, percents.clone())?;
    panel
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(rules.len() + 1)
        .x_label_formatter(&|column| name(rules, *column))
        .y_label_formatter(&|percent| format!("{percent:.0} %"))
        .y_desc("time of the limit / time of the rule")
        .label_style((FONT, 16).with_color(INK))
        .axis_desc_style((FONT, 16).with_color(INK))
        .axis_style(PALE)
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .draw()?;
    let plot = panel.plotting_area();
    for column in 1..rules.len() {
        let border = column as f64 + 0.5;
        plot.draw(&PathElement::new([(border, percents.start), (border, percents.end)], GRID))?;
    }
    plot.draw(&PathElement::new([(first, 100.0), (last, 100.0)], INK.stroke_width(2)))?;
    Ok(panel)
}

/// The name below a column; columns are counted from 1, and there is nothing between two of them.
fn name(rules: &[&str], column: f64) -> String {
    let index = (1..=rules.len()).position(|number| number as f64 == column);
    index.map_or_else(String::new, |index| rules[index].to_owned())
}

/// A marker at each median, with a line over eight of ten rounds as far as it is in the panel.
fn draw_series(
    panel: &mut Panel<'_, '_>,
    series: &Series<'_>,
    shift: f64,
    color: RGBColor,
    rules: &[&str],
) -> Drawn {
    let shown = panel.y_range();
    for line in &series.lines {
        let rule = rules.iter().position(|rule| *rule == line.case.rule.name()).unwrap_or_default();
        let x = rule as f64 + shift;
        let roof = line.roof();
        let [low, median, high] =
            [roof.low, roof.median, roof.high].map(|part| (x, (100.0 * part).clamp(shown.start, shown.end)));
        let area = panel.plotting_area();
        area.draw(&PathElement::new([low, high], color.stroke_width(2)))?;
        if line.under_math() {
            area.draw(&TriangleMarker::new(median, MARKER + 2, color.filled()))?;
        } else {
            area.draw(&Circle::new(median, MARKER, color.filled()))?;
        }
    }
    Ok(())
}

fn draw_legend(area: &Area<'_>, series: &[Series<'_>], colors: &[RGBColor]) -> Drawn {
    for ((series, color), line) in series.iter().zip(colors).zip(0..) {
        let y = LEGEND_TOP + line * LEGEND_LINE;
        area.draw(&Rectangle::new([(10, y - 6), (22, y + 6)], color.filled()))?;
        draw_text(area, &series.label, (34, y), 16, INK, HPos::Left)?;
    }
    let y = LEGEND_TOP + (series.len() as i32 + 1) * LEGEND_LINE;
    draw_text(area, "The limit is a loop that", (10, y - 4), 16, PALE, HPos::Left)?;
    area.draw(&Circle::new((16, y + LEGEND_LINE), MARKER, PALE.filled()))?;
    draw_text(area, "moves the same bytes", (34, y + LEGEND_LINE), 16, PALE, HPos::Left)?;
    if series.iter().flat_map(|series| &series.lines).any(|line| line.under_math()) {
        let y = y + 2 * LEGEND_LINE;
        area.draw(&TriangleMarker::new((16, y + 2), MARKER + 2, PALE.filled()))?;
        draw_text(area, "takes root and division", (34, y), 16, PALE, HPos::Left)?;
    }
    Ok(())
}

fn draw_text(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, color: RGBColor, side: HPos) -> Drawn {
    let style = TextStyle::from((FONT, size).into_font()).color(&color).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text, at, style))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use gradstep::AnyRule;

    use super::*;
    use crate::{case::Case, spread::Spread};

    fn line(level: Level, percent: f64) -> Line {
        let rule = AnyRule::named("adamw").unwrap();
        let spread = Spread { low: 0.0, median: percent / 100.0, high: 9.0 };
        Line {
            case: Case { rule, elements: 1 << 14, threads: 1, level, pass: false },
            nanos_per_param: 1.0,
            cycles_per_param: 2.0,
            same_bytes: spread,
            math: None,
        }
    }

    #[test]
    fn every_rule_and_size_is_named() {
        let svg = svg("some machine", &[line(Level::Memory, 97.0), line(Level::Cache, 12.0)]).unwrap();
        for text in ["some machine", "16 K, 1 thread", "16 K"] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg.matches("adamw").count(), 2);
    }

    #[test]
    fn names_stand_below_their_columns() {
        let rules = ["sgd", "adam"];
        assert_eq!([0.5, 1.0, 1.5, 2.0, 2.5].map(|x| name(&rules, x)), ["", "sgd", "", "adam", ""]);
    }
}
