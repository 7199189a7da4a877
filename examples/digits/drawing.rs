//! What the pictures have in common: their lines, their legend, their file.

use std::{error::Error, fs, io, path::Path};

use plotters::{
    coord::Shift,
    element::{DashedPathElement, DynElement, IntoDynElement as _},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn<T = ()> = Result<T, Box<dyn Error>>;

pub const FONT: &str = "sans-serif";
pub const INK: RGBColor = RGBColor(51, 51, 51);
pub const GRID: RGBColor = RGBColor(222, 222, 222);

const WIDTH: u32 = 1000;
const LEGEND_WIDTH: u32 = 220;
const LEGEND_TOP: i32 = 62;
const LEGEND_LINE: i32 = 24;

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

/// How many kinds of line can be told apart.
#[cfg(test)]
pub const STROKES: usize = PALETTE.len() * DASHES.len();

/// How a line looks.
#[derive(Clone, Copy)]
pub struct Stroke {
    pub color: RGBColor,
    dashes: Option<[i32; 2]>,
}

impl Stroke {
    /// A kind of line for each index.
    pub fn nth(index: usize) -> Self {
        let dashes = DASHES[index / PALETTE.len() % DASHES.len()];
        Self { color: PALETTE[index % PALETTE.len()], dashes }
    }

    pub fn line<'e, C: Clone + 'e>(self, points: Vec<C>) -> DynElement<'e, SVGBackend<'e>, C> {
        let style = self.color.stroke_width(2);
        match self.dashes {
            Some([dash, gap]) => DashedPathElement::new(points, dash, gap, style).into_dyn(),
            None => PathElement::new(points, style).into_dyn(),
        }
    }
}

/// A line of the legend.
pub struct Entry<'a> {
    pub stroke: Stroke,
    pub name: &'a str,
    pub final_loss: String,
}

/// A picture at least so high, with what `plot` draws beside the legend.
pub fn svg(least_height: u32, legend: &[Entry<'_>], plot: impl FnOnce(&Area<'_>) -> Drawn) -> Drawn<String> {
    let mut svg = String::new();
    let height = least_height.max(LEGEND_TOP as u32 + LEGEND_LINE as u32 * (legend.len() as u32 + 1));
    let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(WIDTH - LEGEND_WIDTH);
    plot(&left)?;
    draw_legend(&right, legend)?;
    root.present()?;
    // The three areas share the backend that borrows the text.
    drop((root, left, right));
    Ok(svg)
}

fn draw_legend(area: &Area<'_>, entries: &[Entry<'_>]) -> Drawn {
    draw_legend_texts(area, LEGEND_TOP, "rule", "final loss")?;
    for (entry, line) in entries.iter().zip(1..) {
        let y = LEGEND_TOP + line * LEGEND_LINE;
        area.draw(&entry.stroke.line(vec![(8, y), (44, y)]))?;
        draw_legend_texts(area, y, entry.name, &entry.final_loss)?;
    }
    Ok(())
}

fn draw_legend_texts(area: &Area<'_>, y: i32, left: &str, right: &str) -> Drawn {
    let style = TextStyle::from((FONT, 17).into_font()).color(&INK);
    area.draw(&Text::new(left, (54, y), style.pos(Pos::new(HPos::Left, VPos::Center))))?;
    area.draw(&Text::new(right, (204, y), style.pos(Pos::new(HPos::Right, VPos::Center))))?;
    Ok(())
}

/// Writes a picture, and makes the directories that it needs.
pub fn write(path: &Path, svg: Drawn<String>) -> io::Result<()> {
    let svg = svg.map_err(|error| io::Error::other(error.to_string()))?;
    make_room(path)?;
    fs::write(path, svg)
}

/// Makes the directories that a file is to be in.
pub fn make_room(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
