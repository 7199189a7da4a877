//! The two surfaces. Only `+ - * /` and roots are used, which are the same on every machine.

use std::ops::Range;

pub type Point = [f64; 2];

/// A function of two variables, and what of it is shown.
pub struct Surface {
    pub name: &'static str,
    pub formula: &'static str,
    pub value: fn(Point) -> f64,
    pub gradient: fn(Point) -> Point,
    pub start: Point,
    pub minima: &'static [Point],
    pub levels: &'static [f64],
    /// The part that is in the picture, four wide and three high.
    pub x: Range<f64>,
    pub y: Range<f64>,
}

/// 25 times as steep across as along. It is turned, so that no rule finds its way by treating each coordinate
/// alone.
pub const VALLEY: Surface = Surface {
    name: "valley",
    formula: "f = (u² + 25 v²) / 2, u = 0.8 x + 0.6 y, v = 0.8 y - 0.6 x",
    value: |point| {
        let [u, v] = turned(point);
        (u * u + 25.0 * v * v) / 2.0
    },
    gradient: |point| {
        let [u, v] = turned(point);
        [0.8 * u - 15.0 * v, 0.6 * u + 20.0 * v]
    },
    start: [-1.9, -0.5],
    minima: &[[0.0, 0.0]],
    levels: &[0.1, 0.4, 1.6, 6.4, 25.6],
    x: -2.4..1.6,
    y: -1.7..1.3,
};

/// The gradient vanishes between the two minima. The start is a little off the line that leads there.
pub const SADDLE: Surface = Surface {
    name: "saddle",
    formula: "f = x² - y² + y⁴ / 2",
    value: |[x, y]| x * x - y * y + y * y * y * y / 2.0,
    gradient: |[x, y]| [2.0 * x, 2.0 * y * (y * y - 1.0)],
    start: [-1.7, 0.02],
    minima: &[[0.0, 1.0], [0.0, -1.0]],
    levels: &[-0.4, -0.2, 0.05, 0.4, 1.0, 2.0, 3.5],
    x: -2.0..2.0,
    y: -1.5..1.5,
};

/// Along the valley and across it. The angle is that of the triangle 3, 4, 5.
fn turned([x, y]: Point) -> Point {
    [0.8 * x + 0.6 * y, 0.8 * y - 0.6 * x]
}

impl Surface {
    pub fn contains(&self, [x, y]: Point) -> bool {
        self.x.contains(&x) && self.y.contains(&y)
    }
}

pub fn distance(a: Point, b: Point) -> f64 {
    let [x, y] = [a[0] - b[0], a[1] - b[1]];
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_the_slopes() {
        for surface in [VALLEY, SADDLE] {
            for [x, y] in [surface.start, [0.0, 0.0], [0.3, -1.2], [-1.1, 0.7]] {
                let slope = |a, b| ((surface.value)(a) - (surface.value)(b)) / 2e-5;
                let slopes = [slope([x + 1e-5, y], [x - 1e-5, y]), slope([x, y + 1e-5], [x, y - 1e-5])];
                assert!(distance((surface.gradient)([x, y]), slopes) < 1e-8, "{} at {x}, {y}", surface.name);
            }
        }
    }

    #[test]
    fn minima_are_lowest_and_at_rest() {
        for surface in [VALLEY, SADDLE] {
            for &minimum in surface.minima {
                assert_eq!((surface.gradient)(minimum), [0.0, 0.0], "{}", surface.name);
                assert!((surface.value)(minimum) < surface.levels[0], "{}", surface.name);
                assert!(surface.contains(minimum) && surface.contains(surface.start), "{}", surface.name);
            }
        }
    }
}
