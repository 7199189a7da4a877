//! What the device must print, to the last bit, and what the README must say.

use gradstep::AnyRule;
use gradstep_embedded::{Buffers, report};

#[test]
fn the_host_prints_what_the_device_prints() {
    let (mut buffers, mut text) = (Buffers::ZERO, Vec::new());
    report(&mut buffers, &mut text).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), include_str!("../expected.txt"));
}

#[test]
fn the_readme_has_the_cost_of_every_rule() {
    let mut sections = include_str!("../README.md").split("\n## ");
    let costs = sections.find(|section| section.starts_with("What a rule costs")).unwrap();
    let rows = costs.lines().filter_map(|line| line.strip_prefix("| `"));
    let rules: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(rules, AnyRule::NAMES, "`./run cost` measures them");
}
