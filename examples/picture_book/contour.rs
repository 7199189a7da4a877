//! The lines on which a surface has a given value.

use crate::surface::{Point, Surface, distance};

/// How far apart the points of a line are at first, and how far a line may be from those that are left out of
/// it: about a pixel, and less than a quarter of one.
const STRIDE: f64 = 0.01;
const TOLERANCE: f64 = 0.0025;

/// The parts of the lines that are in the picture.
pub fn lines(surface: &Surface, level: f64) -> Vec<Vec<Point>> {
    let mut loops: Vec<Vec<Point>> = Vec::new();
    for &minimum in surface.minima {
        let seed = seed(surface, level, minimum);
        // One loop can go around several minima.
        if !loops.iter().flatten().any(|&point| distance(point, seed) < STRIDE) {
            loops.push(follow(surface, level, seed));
        }
    }
    let visible = loops.iter().flat_map(|line| line.split(|&point| !surface.contains(point)));
    visible.filter(|part| part.len() > 1).map(simplified).collect()
}

/// The point on the level to the right of a minimum, where both surfaces only rise.
fn seed(surface: &Surface, level: f64, [x, y]: Point) -> Point {
    let (mut near, mut far) = (0.0, 16.0);
    for _ in 0..60 {
        let middle = (near + far) / 2.0;
        if (surface.value)([x + middle, y]) < level { near = middle } else { far = middle }
    }
    [x + near, y]
}

/// Goes along the level until it is back.
fn follow(surface: &Surface, level: f64, seed: Point) -> Vec<Point> {
    let mut line = vec![seed, forward(surface, level, seed)];
    while line.len() < 3 || distance(line[line.len() - 1], seed) > STRIDE {
        line.push(forward(surface, level, line[line.len() - 1]));
    }
    line.push(seed);
    line
}

/// A stride at a right angle to the gradient, and then back onto the level by Newton's method.
fn forward(surface: &Surface, level: f64, point: Point) -> Point {
    let slope = (surface.gradient)(point);
    let stride = STRIDE / distance(slope, [0.0, 0.0]);
    let mut point = [point[0] - stride * slope[1], point[1] + stride * slope[0]];
    for _ in 0..3 {
        let [a, b] = (surface.gradient)(point);
        let back = ((surface.value)(point) - level) / (a * a + b * b);
        point = [point[0] - back * a, point[1] - back * b];
    }
    point
}

/// Leaves out points as Douglas and Peucker do: the farthest from the chord stays, and so on on both sides of
/// it.
fn simplified(line: &[Point]) -> Vec<Point> {
    let (first, last) = (line[0], line[line.len() - 1]);
    let inner = 1..line.len() - 1;
    let away = |&index: &usize| off_chord(line[index], first, last);
    match inner.max_by(|a, b| away(a).total_cmp(&away(b))) {
        Some(farthest) if away(&farthest) > TOLERANCE => {
            let mut points = simplified(&line[..=farthest]);
            points.extend(&simplified(&line[farthest..])[1..]);
            points
        }
        _ => vec![first, last],
    }
}

fn off_chord(point: Point, first: Point, last: Point) -> f64 {
    let length = distance(first, last);
    // A closed line has no chord.
    if length < STRIDE {
        return distance(point, first);
    }
    let twice_the_area =
        (last[0] - first[0]) * (point[1] - first[1]) - (last[1] - first[1]) * (point[0] - first[0]);
    twice_the_area.abs() / length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::{SADDLE, VALLEY};

    #[test]
    fn lines_are_on_their_level() {
        for surface in [VALLEY, SADDLE] {
            for &level in surface.levels {
                let lines = lines(&surface, level);
                assert!(!lines.is_empty(), "{} {level}", surface.name);
                for &point in lines.iter().flatten() {
                    let error = (surface.value)(point) - level;
                    assert!(error.abs() < 1e-9, "{} {level}: {error:e} off at {point:?}", surface.name);
                }
            }
        }
    }

    #[test]
    fn a_saddle_has_two_loops_below_it_and_one_above() {
        assert_eq!(lines(&SADDLE, -0.2).len(), 2);
        let above = lines(&SADDLE, 0.05);
        assert_eq!(above.len(), 1);
        assert_eq!(above[0].first(), above[0].last());
    }

    #[test]
    fn few_points_tell_the_line() {
        let corner: Vec<_> = (0..=20).map(|i| [f64::from(i.min(10)), f64::from((i - 10).max(0))]).collect();
        assert_eq!(simplified(&corner), [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]]);
    }
}
