//! The picture of one rule: both surfaces side by side.

use crate::{
    Outcome, contour,
    surface::{Point, SADDLE, Surface, VALLEY},
    svg::{Place, Svg},
    walk::{STEPS, Walk},
};

/// In tenths of a pixel, as all of it.
const SIZE: Place = [6800, 3240];
const PANEL: Place = [3200, 2400];
const PANELS: [Place; 2] = [[130, 720], [3470, 720]];

/// A dot on the path marks every step of this number.
pub const DOTS: usize = 10;

const STYLE: &str = "\
text{font-family:system-ui,sans-serif;font-size:190px;fill:#222831}\
.name{font-size:260px;font-weight:bold}\
.note{text-anchor:end}\
.page{fill:#fff}\
path{fill:none;stroke-linejoin:round;stroke-linecap:round}\
.level{stroke:#bccbd8;stroke-width:10}\
.path{stroke:#c81d25;stroke-width:20}\
.dots{stroke:#6e0814;stroke-width:60}\
.start{fill:#c81d25}\
.minimum{fill:#fff;stroke:#222831;stroke-width:24}\
.frame{fill:none;stroke:#bccbd8;stroke-width:20}";

pub fn of(name: &str) -> Outcome<String> {
    let surfaces = [VALLEY, SADDLE];
    let walks = [Walk::best(name, &surfaces[0])?, Walk::best(name, &surfaces[1])?];
    let mut svg = Svg::default();
    svg.text("name", [130, 330], name);
    svg.text("note", [SIZE[0] - 130, 320], format_args!("{STEPS} steps, a dot every {DOTS}"));
    for ((place, surface), walk) in PANELS.into_iter().zip(&surfaces).zip(&walks) {
        svg.text("lr", [place[0], 630], format_args!("{}, lr {}", surface.name, walk.lr));
        svg.window(place, PANEL, &panel(surface, walk));
    }
    let [valley, saddle] = walks.map(|walk| walk.lr);
    let title =
        format!("{name}: {STEPS} steps in a valley with lr {valley}, and on a saddle with lr {saddle}");
    Ok(svg.file(SIZE, &title, STYLE))
}

fn panel(surface: &Surface, walk: &Walk) -> Svg {
    let places = |line: &[Point]| line.iter().map(|&point| place(surface, point)).collect::<Vec<_>>();
    let mut svg = Svg::default();
    for &level in surface.levels {
        svg.lines("level", contour::lines(surface, level).iter().map(|line| places(line)));
    }
    for &minimum in surface.minima {
        svg.disc("minimum", place(surface, minimum), 56);
    }
    svg.lines("path", [places(&walk.path)]);
    svg.lines("dots", walk.path.iter().skip(DOTS).step_by(DOTS).map(|&point| places(&[point])));
    svg.disc("start", place(surface, surface.start), 64);
    svg
}

/// Where a point is in its panel, whose `y` grows downwards.
fn place(surface: &Surface, [x, y]: Point) -> Place {
    let right = (x - surface.x.start) / (surface.x.end - surface.x.start);
    let down = (surface.y.end - y) / (surface.y.end - surface.y.start);
    [right * f64::from(PANEL[0]), down * f64::from(PANEL[1])].map(|length| length.round() as i32)
}

#[cfg(test)]
mod tests {
    use gradstep::AnyRule;

    use super::*;

    #[test]
    fn the_start_is_where_the_panel_has_it() {
        assert_eq!(place(&SADDLE, [-2.0, 1.5]), [0, 0]);
        assert_eq!(place(&SADDLE, [2.0, -1.5]), PANEL);
        assert_eq!(place(&SADDLE, [0.0, 0.0]), [1600, 1200]);
    }

    #[test]
    fn every_picture_is_small_and_names_its_rule() {
        for name in AnyRule::NAMES {
            let text = of(name).unwrap();
            assert!(text.contains(&format!(">{name}</text>")), "{name}");
            assert!(text.len() < 12 << 10, "{name}.svg has {} bytes", text.len());
        }
    }
}
