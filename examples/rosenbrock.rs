//! Draws how the rules walk down two valleys, and prints where they got.
//!
//! The first is a straight bowl, much steeper across than along: what momentum is for. The second is Rosenbrock's
//! curved valley, where every rule of the registry walks with the learning rate that suits it best. A rule with weight
//! decay by default, as AdamW, has its minimum a little to the side, and does not quite arrive.
//!
//! ```text
//! cargo run --release --example rosenbrock -- --out rosenbrock.svg
//! ```

use std::{
    cmp::Ordering,
    error::Error,
    f64::consts::TAU,
    fs,
    iter::zip,
    ops::Range,
    path::{Path, PathBuf},
};

use clap::Parser;
use gradstep::{
    AnyRule, Momentum, Rule, Sgd,
    train::{Plan, Reason, minimize},
};
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

#[derive(Parser)]
#[command(about = "Draws how the rules walk down two valleys")]
struct Args {
    /// Where to write the picture.
    #[arg(long, default_value = "target/rosenbrock.svg")]
    out: PathBuf,
}

type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Point = (f64, f64);

/// `along*(x - x0)^2 + across*(y - bed(x))^2`: the minimum is where both squares are 0.
struct Valley {
    along: f64,
    x0: f64,
    across: f64,
    /// The valley's deepest `y` at `x`, and its slope there.
    bed: fn(f64) -> (f64, f64),
    start: Point,
    steps: u32,
    /// The steps after which the path gets a dot.
    marked: fn(usize) -> bool,
    x: Range<f64>,
    y: Range<f64>,
}

const BOWL: Valley = Valley {
    along: 0.5,
    x0: 0.0,
    across: 25.0,
    bed: |_| (0.0, 0.0),
    start: (-10.0, 1.5),
    steps: 30,
    marked: |_| true,
    x: -11.5..3.5,
    y: -2.2..2.2,
};

/// With the start that Rosenbrock himself took.
const ROSENBROCK: Valley = Valley {
    along: 1.0,
    x0: 1.0,
    across: 100.0,
    bed: |x| (x * x, 2.0 * x),
    start: (-1.2, 1.0),
    steps: 2000,
    marked: |step| [1, 10, 100, 1000].contains(&step),
    x: -2.0..2.0,
    y: -1.0..3.0,
};

impl Valley {
    fn value(&self, (x, y): Point) -> f64 {
        self.along * (x - self.x0).powi(2) + self.across * (y - (self.bed)(x).0).powi(2)
    }

    fn gradient(&self, (x, y): Point) -> [f32; 2] {
        let (bed, slope) = (self.bed)(x);
        let across = 2.0 * self.across * (y - bed);
        [(2.0 * self.along * (x - self.x0) - across * slope) as f32, across as f32]
    }

    fn minimum(&self) -> Point {
        (self.x0, (self.bed)(self.x0).0)
    }

    fn contains(&self, (x, y): Point) -> bool {
        self.x.contains(&x) && self.y.contains(&y)
    }

    /// The closed line on which the value is `level`, as far as it is in the picture: where it leaves, it follows
    /// the frame.
    fn contour(&self, level: f64) -> Vec<Point> {
        const POINTS: u32 = 144;
        let reach = (level / self.along).sqrt();
        let (from, to) = (self.x.start.max(self.x0 - reach), self.x.end.min(self.x0 + reach));
        let rim = |angle: f64| {
            // Half a circle forth above the bed and half a circle back below: points crowd where the line turns.
            let x = from + (to - from) * (1.0 - angle.cos()) / 2.0;
            let left = (level - self.along * (x - self.x0).powi(2)).max(0.0);
            let y = (self.bed)(x).0 + angle.sin().signum() * (left / self.across).sqrt();
            (x, y.clamp(self.y.start, self.y.end))
        };
        (0..POINTS).map(|i| rim(TAU * f64::from(i) / f64::from(POINTS))).collect()
    }
}

/// One rule's way through a valley.
struct Walk {
    name: String,
    lr: f64,
    /// From the start on, one point more than steps.
    path: Vec<Point>,
    arrived: bool,
}

/// A walk has arrived when the value is below this.
const ARRIVED: f64 = 1e-4;

impl Walk {
    fn new(name: &str, lr: f64, rule: &impl Rule, valley: &Valley) -> Outcome<Self> {
        // The point at which the last step begins is the last that is looked at, hence one step more.
        let plan = Plan { epochs: valley.steps + 1, loss_below: Some(ARRIVED), ..Plan::default() };
        let mut params = [valley.start.0 as f32, valley.start.1 as f32];
        let mut path = Vec::new();
        let run = minimize(rule, &plan, &mut params, 0, |p, _, g| {
            let point = (p[0].into(), p[1].into());
            path.push(point);
            g.copy_from_slice(&valley.gradient(point));
            valley.value(point)
        })?;
        Ok(Self { name: name.into(), lr, path, arrived: run.end.reason == Reason::LossBelow })
    }

    /// With the learning rate that brings it to the minimum in the fewest steps or, where none does, lowest. Only
    /// those count with which it stays in the picture.
    fn best(name: &str, valley: &Valley) -> Outcome<Self> {
        let mut walks = Vec::new();
        for lr in learning_rates() {
            let mut rule = AnyRule::named(name)?;
            rule.set("lr", lr)?;
            walks.push(Self::new(name, lr, &rule, valley)?);
        }
        walks.retain(|walk| walk.path.iter().all(|&point| valley.contains(point)));
        let best = walks.into_iter().min_by(|a, b| a.compare(b, valley));
        best.ok_or_else(|| format!("{name} leaves the picture at every learning rate").into())
    }

    fn compare(&self, other: &Self, valley: &Valley) -> Ordering {
        let values = [self, other].map(|walk| valley.value(walk.last()));
        (!self.arrived, self.steps())
            .cmp(&(!other.arrived, other.steps()))
            .then(values[0].total_cmp(&values[1]))
    }

    fn steps(&self) -> usize {
        self.path.len() - 1
    }

    fn last(&self) -> Point {
        self.path[self.steps()]
    }

    fn outcome(&self, valley: &Valley) -> String {
        if self.arrived {
            format!("arrived after {} steps", self.steps())
        } else {
            format!("{:.2} away after {} steps", self.distance(valley), self.steps())
        }
    }

    fn distance(&self, valley: &Valley) -> f64 {
        let (end, minimum) = (self.last(), valley.minimum());
        (end.0 - minimum.0).hypot(end.1 - minimum.1)
    }
}

/// 1, 2 and 5 times the powers of ten from 0.0001 to 1.
fn learning_rates() -> impl Iterator<Item = f64> {
    (0..15).map(|i| [1.0, 2.0, 5.0][i % 3] / [1e4, 1e3, 1e2, 1e1, 1e0][i / 3])
}

fn main() -> Outcome {
    let args = Args::parse();
    let bowl = bowl_walks()?;
    let rosenbrock =
        AnyRule::NAMES.iter().map(|name| Walk::best(name, &ROSENBROCK)).collect::<Outcome<Vec<_>>>()?;
    print_table("The bowl", &BOWL, &bowl);
    print_table("Rosenbrock's valley", &ROSENBROCK, &rosenbrock);
    if let Some(folder) = args.out.parent() {
        fs::create_dir_all(folder)?;
    }
    draw(&args.out, &bowl, &rosenbrock)?;
    println!("picture: {}", args.out.display());
    Ok(())
}

/// SGD just below the learning rate 2/50 from which on it does not converge, and momentum with less than half of it.
fn bowl_walks() -> Outcome<Vec<Walk>> {
    let sgd = Sgd::torch().lr(0.039)?;
    let momentum = Momentum::torch().lr(0.015)?.momentum(0.8)?;
    Ok(vec![
        Walk::new("sgd", 0.039, &sgd, &BOWL)?,
        Walk::new("momentum 0.8", 0.015, &momentum, &BOWL)?,
        Walk::new("nesterov 0.8", 0.015, &momentum.nesterov(true)?, &BOWL)?,
    ])
}

/// What to see in each walk.
const BOWL_NOTES: [&str; 3] =
    ["it zigzags across, creeps along", "across cancels, along adds up", "looks ahead, so it swings less"];

fn print_table(title: &str, valley: &Valley, walks: &[Walk]) {
    println!("{title}, {} steps or until f < {ARRIVED:e}", valley.steps);
    println!("  {:14}{:>7}{:>7}{:>11}{:>11}", "rule", "lr", "steps", "f", "distance");
    for walk in walks {
        let (f, distance) = (valley.value(walk.last()), walk.distance(valley));
        println!("  {:14}{:>7}{:>7}{f:>11.1e}{distance:>11.4}", walk.name, walk.lr, walk.steps());
    }
    println!();
}

const COLUMNS: usize = 4;
const WIDTH: u32 = 2400;
const MARGIN: u32 = 40;
/// Where panels and what is written above them begin.
const LEFT: i32 = 64;
const HEADING: u32 = 170;
const TITLE: u32 = 110;
const BOWL_ROW: u32 = 540;
const ROSENBROCK_ROW: u32 = 660;

const INK: RGBColor = RGBColor(34, 40, 49);
const PATH: RGBColor = RGBColor(200, 29, 37);
const DOT: RGBColor = RGBColor(110, 8, 20);

fn draw(out: &Path, bowl: &[Walk], rosenbrock: &[Walk]) -> Outcome {
    // One cell more than walks, for the key.
    let rows = (rosenbrock.len() + 1).div_ceil(COLUMNS);
    let height = 2 * HEADING + BOWL_ROW + rows as u32 * ROSENBROCK_ROW + MARGIN;
    let page = SVGBackend::new(out, (WIDTH, height)).into_drawing_area();
    page.fill(&WHITE)?;
    let (upper, lower) = page.margin(0, MARGIN, 0, MARGIN).split_vertically(HEADING + BOWL_ROW);
    draw_bowl(&upper, bowl)?;
    draw_rosenbrock(&lower, rosenbrock, rows)?;
    page.present()?;
    Ok(())
}

fn draw_bowl(area: &Area<'_>, walks: &[Walk]) -> Outcome {
    let subtitle = format!(
        "A bowl 50 times steeper across than along, {} steps each, a dot for each step. \
         Above lr 0.04 sgd would diverge.",
        BOWL.steps,
    );
    let area = heading(area, "Why momentum", &subtitle)?;
    for ((cell, walk), note) in zip(zip(area.split_evenly((1, walks.len())), walks), BOWL_NOTES) {
        panel(&cell, &BOWL, walk, &format!("{:.2} away: {note}", walk.distance(&BOWL)))?;
    }
    Ok(())
}

fn draw_rosenbrock(area: &Area<'_>, walks: &[Walk], rows: usize) -> Outcome {
    let subtitle = format!(
        "f = (1 - x)\u{b2} + 100 (y - x\u{b2})\u{b2}. \
         Each rule has the best of {} learning rates, and {} steps to get below f = {ARRIVED}.",
        learning_rates().count(),
        ROSENBROCK.steps,
    );
    let area = heading(area, "Every rule in Rosenbrock's valley", &subtitle)?;
    let cells = area.split_evenly((rows, COLUMNS));
    for (cell, walk) in zip(&cells, walks) {
        panel(cell, &ROSENBROCK, walk, &walk.outcome(&ROSENBROCK))?;
    }
    key(&cells[walks.len()])
}

/// Writes a heading, and returns what is left of the area.
fn heading<'a>(area: &Area<'a>, title: &str, subtitle: &str) -> Outcome<Area<'a>> {
    let (top, rest) = area.split_vertically(HEADING);
    write(&top, title, (LEFT, 40), bold(68))?;
    write(&top, subtitle, (LEFT, 108), plain(42))?;
    Ok(rest)
}

/// One walk over the contours of its valley.
fn panel(area: &Area<'_>, valley: &Valley, walk: &Walk, note: &str) -> Outcome {
    let (top, rest) = area.split_vertically(TITLE);
    write(&top, &format!("{}, lr {}", walk.name, walk.lr), (LEFT, 20), bold(40))?;
    write(&top, note, (LEFT, 66), plain(36))?;
    let mut chart = ChartBuilder::on(&rest)
        .margin_right(20)
        .x_label_area_size(50)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(valley.x.clone(), valley.y.clone())?;
    bands(&mut chart, valley)?;
    way(&mut chart, valley, walk)?;
    let label = |value: &f64| value.to_string();
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .label_style(plain(30))
        .draw()?;
    Ok(())
}

/// Fills what is below each level, the highest first.
fn bands(chart: &mut Chart<'_, '_>, valley: &Valley) -> Outcome {
    chart.plotting_area().fill(&shade(LEVELS.len()))?;
    for (band, level) in LEVELS.into_iter().enumerate().rev() {
        chart.draw_series([Polygon::new(valley.contour(level), shade(band).filled())])?;
    }
    Ok(())
}

fn way(chart: &mut Chart<'_, '_>, valley: &Valley, walk: &Walk) -> Outcome {
    chart.draw_series([PathElement::new(walk.path.clone(), PATH.stroke_width(4))])?;
    let marked = walk.path.iter().enumerate().filter(|&(step, _)| (valley.marked)(step));
    chart.draw_series(marked.map(|(_, &point)| Circle::new(point, 8, DOT.filled())))?;
    chart.draw_series([Circle::new(valley.start, 13, PATH.filled())])?;
    chart.draw_series(goal(valley.minimum()))?;
    Ok(())
}

/// A white disc with a dark rim.
fn goal<C: Copy>(at: C) -> [Circle<C, i32>; 2] {
    [Circle::new(at, 14, INK.filled()), Circle::new(at, 10, WHITE.filled())]
}

/// What the signs mean, and which values the bands have.
fn key(area: &Area<'_>) -> Outcome {
    area.draw(&Circle::new((90, 150), 13, PATH.filled()))?;
    write(area, "start", (130, 134), plain(36))?;
    for disc in goal((90, 210)) {
        area.draw(&disc)?;
    }
    write(area, "minimum", (130, 194), plain(36))?;
    area.draw(&Circle::new((90, 270), 8, DOT.filled()))?;
    write(area, "after 1, 10, 100, 1000 steps", (130, 254), plain(36))?;
    write(area, "f", (84, 342), plain(36))?;
    scale(area, (130, 330))
}

/// The bands' colours, and the level at which every second one ends.
fn scale(area: &Area<'_>, (left, top): (i32, i32)) -> Outcome {
    const SIZE: (i32, i32) = (42, 56);
    let edge = |band: usize| left + SIZE.0 * band as i32;
    for band in 0..=LEVELS.len() {
        let corners = [(edge(band), top), (edge(band + 1), top + SIZE.1)];
        area.draw(&Rectangle::new(corners, shade(band).filled()))?;
    }
    for (band, level) in LEVELS.iter().enumerate().step_by(2) {
        let centred = plain(30).pos(Pos::new(HPos::Center, VPos::Top));
        write(area, &level.to_string(), (edge(band + 1), top + SIZE.1 + 12), centred)?;
    }
    Ok(())
}

/// Half powers of ten.
const LEVELS: [f64; 9] = [0.1, 0.316, 1.0, 3.16, 10.0, 31.6, 100.0, 316.0, 1000.0];

/// From blue below the lowest level to nearly white above the highest.
fn shade(band: usize) -> RGBColor {
    let mix = |low: f64, high: f64| (low + (high - low) * band as f64 / LEVELS.len() as f64) as u8;
    RGBColor(mix(90.0, 246.0), mix(146.0, 249.0), mix(194.0, 252.0))
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), style: TextStyle<'_>) -> Outcome {
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

fn plain(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn bold(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().style(FontStyle::Bold).color(&INK)
}
