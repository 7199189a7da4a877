//! The results as text, a line as soon as it is there.

use gradstep::Rule as _;

use crate::{case::Case, measure::Line, spread::Spread};

pub const NOTES: &str = "\
Time: the median over all rounds. GB/s: 12 bytes a parameter and 8 for each state slice, the least that a step moves, and 10 more in a pass.
Cycles: of the clock that a chain of dependent integer operations runs at, measured after each turn of the rule.
% of a roof: how long its loop takes by how long the rule takes, the median over all rounds and where 8 of 10 lie.
Same bytes: a loop that only adds the gradient to each stream, gradstep's own or a plain one, whichever is faster.
Root and division: a loop of nothing else, as many as there are parameters, from registers.";

pub fn header() -> String {
    let time = ["ns/param", "cycles/param", "GB/s"];
    columns(["rule", "elements", "threads"], time, ["% of same bytes", "% of root and division"])
}

pub fn row(line: &Line) -> String {
    let Case { rule, elements, threads, .. } = line.case;
    let math = line.math.as_ref().map_or("-".to_owned(), Spread::to_string);
    columns(
        [rule.name(), &size(elements), &threads.to_string()],
        [
            &format!("{:.3}", line.nanos_per_param),
            &format!("{:.2}", line.cycles_per_param),
            &format!("{:.1}", line.gigabytes_per_second()),
        ],
        [&line.same_bytes.to_string(), &math],
    )
}

fn columns(case: [&str; 3], time: [&str; 3], roofs: [&str; 2]) -> String {
    let ([rule, elements, threads], [nanos, cycles, bandwidth], [bytes, math]) = (case, time, roofs);
    format!("{rule:<10}{elements:>9}{threads:>9}{nanos:>10}{cycles:>14}{bandwidth:>8}{bytes:>24}{math:>24}")
}

/// In binary thousands or millions.
pub fn size(elements: usize) -> String {
    match elements >> 20 {
        0 => format!("{} K", elements >> 10),
        millions => format!("{millions} M"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!([1 << 14, 1 << 17, 1 << 24, 1 << 26].map(size), ["16 K", "128 K", "16 M", "64 M"]);
    }
}
