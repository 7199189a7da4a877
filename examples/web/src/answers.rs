//! What the page asks for. Rules, surfaces and scenes go by their number in the lists that [`about`] gives.

use gradstep::{AnyRule, Backend, Value as Setting, Workers};
use gradstep_hash::{SCENES, expected};
use serde_json::{Map, Value, json};

use crate::{
    Outcome, contour,
    surface::{Point, SADDLE, Surface, VALLEY},
    walk::{STEPS, Walk, path},
};

const SURFACES: &[Surface] = &[VALLEY, SADDLE];

/// The options that the page has sliders for, besides lr, which each rule has.
const SLIDERS: &[&str] = &["momentum", "beta1"];

pub fn about() -> Value {
    let backend = Backend::detect();
    let rules = AnyRule::NAMES.iter().filter_map(|name| AnyRule::named(name).ok().map(|rule| (name, rule)));
    json!({
        "backend": format!("{backend} ({}, {} lanes)", backend.instructions(), backend.lanes()),
        "steps": STEPS,
        "surfaces": SURFACES.iter().map(picture).collect::<Value>(),
        "rules": rules.map(|(name, rule)| json!({ "name": name, "options": options(&rule) })).collect::<Value>(),
        "scenes": SCENES.iter().map(|scene| scene.name).collect::<Value>(),
    })
}

fn picture(surface: &Surface) -> Value {
    json!({
        "name": surface.name,
        "formula": surface.formula,
        "x": [surface.x.start, surface.x.end],
        "y": [surface.y.start, surface.y.end],
        "start": surface.start,
        "minima": surface.minima,
        "lowest": (surface.value)(surface.minima[0]),
        "contours": surface.levels.iter().map(|&level| contour::lines(surface, level)).collect::<Vec<_>>(),
    })
}

/// The values that the sliders of this rule begin with.
fn options(rule: &AnyRule) -> Map<String, Value> {
    let number = |option: &&str| match rule.get(option)? {
        Setting::Number(number) => Some((option.to_string(), number.into())),
        _ => None,
    };
    SLIDERS.iter().filter_map(number).collect()
}

pub fn best(rule: usize, surface: usize) -> Outcome<Value> {
    let walk = Walk::best(name(rule)?, pick(SURFACES, surface)?)?;
    Ok(walk.lr.into())
}

pub fn walk(rule: usize, surface: usize, start: Point, options: [(&str, f64); 3]) -> Outcome<Value> {
    let surface = pick(SURFACES, surface)?;
    let mut rule = AnyRule::named(name(rule)?)?;
    for (option, value) in options.into_iter().filter(|(_, value)| !value.is_nan()) {
        rule.set(option, value)?;
    }
    let path = path(&rule, surface, start)?;
    let loss = path.get(STEPS as usize).map(|&end| (surface.value)(end));
    Ok(json!({ "path": path, "loss": loss }))
}

pub fn hash(rule: usize, scene: usize) -> Outcome<Value> {
    let (name, scene) = (name(rule)?, pick(SCENES, scene)?);
    let here = gradstep_hash::hash(&Workers::serial(), &AnyRule::named(name)?, scene)?;
    let native = expected(name, scene.name).ok_or("the table has no such hash")?;
    Ok(json!({ "here": format!("{here:016x}"), "native": format!("{native:016x}") }))
}

fn name(rule: usize) -> Outcome<&'static str> {
    pick(AnyRule::NAMES, rule).copied()
}

fn pick<T>(list: &[T], place: usize) -> Outcome<&T> {
    list.get(place).ok_or_else(|| format!("the list ends before {place}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn number(name: &str) -> usize {
        AnyRule::NAMES.iter().position(|other| *other == name).unwrap()
    }

    #[test]
    fn every_rule_is_listed_with_its_sliders() {
        let about = about();
        let rules = about["rules"].as_array().unwrap();
        assert_eq!(rules.len(), AnyRule::NAMES.len());
        assert_eq!(rules[number("sgd")]["options"], json!({}));
        assert_eq!(rules[number("momentum")]["options"], json!({ "momentum": 0.9 }));
        assert_eq!(rules[number("adam")]["options"], json!({ "beta1": 0.9 }));
    }

    #[test]
    fn options_change_the_path() {
        let walk = |lr, momentum| {
            let options = [("lr", lr), ("momentum", momentum), ("beta1", NAN)];
            walk(number("momentum"), 0, [-1.0, 1.0], options).unwrap()
        };
        let usual = walk(NAN, NAN);
        assert_eq!(usual["path"].as_array().unwrap().len(), STEPS as usize + 1);
        assert_eq!(usual["path"][0], json!([-1.0, 1.0]));
        assert_eq!(usual, walk(NAN, 0.9));
        assert_ne!(usual, walk(NAN, 0.5));
        assert_ne!(usual, walk(0.02, NAN));
    }

    #[test]
    fn what_diverges_has_no_loss() {
        let answer = walk(number("sgd"), 0, [1.0, 1.0], [("lr", 100.0), ("momentum", NAN), ("beta1", NAN)]);
        assert_eq!(answer.unwrap()["loss"], Value::Null);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let options = [("lr", NAN), ("momentum", 0.9), ("beta1", NAN)];
        let refusal = walk(number("sgd"), 0, [1.0, 1.0], options).unwrap_err();
        assert!(refusal.to_string().starts_with("sgd has no option \"momentum\"; it has lr, "));
        assert_eq!(best(0, 2).unwrap_err().to_string(), "the list ends before 2");
        assert!(hash(AnyRule::NAMES.len(), 0).is_err());
    }

    #[test]
    fn the_hashes_are_those_of_the_table() {
        let answer = hash(number("adam"), 1).unwrap();
        assert_eq!(answer["here"], answer["native"]);
    }
}
