//! One rule's way over a surface.

use gradstep::{
    AnyRule, Rule,
    train::{Plan, minimize},
};

use crate::{
    Outcome,
    surface::{Point, Surface},
};

pub const STEPS: u32 = 150;

/// How far above a minimum a walk has arrived.
const ARRIVED: f64 = 1e-3;

pub struct Walk {
    pub lr: f64,
    /// From the start on, one point more than steps.
    pub path: Vec<Point>,
}

impl Walk {
    /// With the smallest learning rate that brings it to a minimum or, where none does, with the one that
    /// ends lowest: small steps show best what the rule does. Only those count with which it stays in the
    /// picture.
    pub fn best(name: &str, surface: &Surface) -> Outcome<Self> {
        let mut walks = Vec::new();
        for lr in learning_rates() {
            let mut rule = AnyRule::named(name)?;
            rule.set("lr", lr)?;
            walks.push(Self { lr, path: path(&rule, surface, surface.start)? });
        }
        walks.retain(|walk| walk.path.iter().all(|&point| surface.contains(point)));
        // The first of equals, and so the smallest learning rate of those that arrive.
        let above = |walk: &Self| walk.above(surface).max(ARRIVED);
        let best = walks.into_iter().min_by(|a, b| above(a).total_cmp(&above(b)));
        best.ok_or_else(|| {
            let surface = surface.name;
            format!("{name} leaves the picture of the {surface} at every learning rate").into()
        })
    }

    /// How far above the lowest value it ends.
    fn above(&self, surface: &Surface) -> f64 {
        let last = self.path[self.path.len() - 1];
        (surface.value)(last) - (surface.value)(surface.minima[0])
    }
}

/// The points from the start on, one more than steps; fewer where the surface or its slope overflows at the last.
pub fn path(rule: &impl Rule, surface: &Surface, start: Point) -> Outcome<Vec<Point>> {
    // The point at which the last step begins is the last that is looked at, hence one step more.
    let plan = Plan { epochs: STEPS + 1, ..Plan::default() };
    let mut params = start.map(|x| x as f32);
    let mut path = Vec::new();
    minimize(rule, &plan, &mut params, 0, |params, _, grads| {
        let point = [params[0].into(), params[1].into()];
        path.push(point);
        grads.copy_from_slice(&(surface.gradient)(point).map(|slope| slope as f32));
        (surface.value)(point)
    })?;
    Ok(path)
}

/// 1, 2 and 5 times the powers of ten from 0.0001 to 10, and 100: some rules take a whole `lr` a step, others
/// a small part of it.
fn learning_rates() -> impl Iterator<Item = f64> {
    const POWERS: [f64; 7] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
    (0..19).map(|i| [1.0, 2.0, 5.0][i % 3] * POWERS[i / 3] / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::{SADDLE, VALLEY};

    #[test]
    fn every_rule_ends_lower_than_it_began() {
        for name in AnyRule::NAMES {
            for surface in [VALLEY, SADDLE] {
                let walk = Walk::best(name, &surface).unwrap();
                assert_eq!(walk.path.len(), STEPS as usize + 1, "{name}, {}", surface.name);
                let [start, end] = [walk.path[0], walk.path[STEPS as usize]].map(surface.value);
                assert!(end < start, "{name}, {}, lr {}: from {start} to {end}", surface.name, walk.lr);
            }
        }
    }

    #[test]
    fn learning_rates_are_round() {
        let rates: Vec<_> = learning_rates().collect();
        assert_eq!(rates[..4], [0.0001, 0.0002, 0.0005, 0.001]);
        assert_eq!(rates[15..], [10.0, 20.0, 50.0, 100.0]);
    }
}
