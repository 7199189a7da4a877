//! The precision table, docs/precision.md: read by the test that keeps it, written when it is asked to.

use std::{fs, path::PathBuf};

/// Steps after which errors are looked at.
pub const STEPS: [u64; 3] = [1, 100, 10_000];

/// The worst error of parameters, and of state, in units in the last place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors {
    pub params: f64,
    pub state: f64,
}

/// A rule's name and its errors after each of [`STEPS`].
pub type Row = (String, [Errors; 3]);

/// What no rule may exceed after each of [`STEPS`], however the table is written, unless it is [excused](EXCUSED).
const CAPS: [Errors; 3] = [capped(5.0, 3.0), capped(100.0, 110.0), capped(420.0, 100.0)];

const fn capped(params: f64, state: f64) -> Errors {
    Errors { params, state }
}

/// Rules with a cap of their own, and why. A mistake in a kernel shows as thousands of ULP: before a rule is added here, it
/// must be known where its error comes from.
const EXCUSED: &[(&str, [Errors; 3], &str)] = &[
    (
        "asgd",
        [capped(5.0, 30.0), CAPS[1], capped(420.0, 420.0)],
        "`ax` is a mean of parameters, and has their errors",
    ),
    ("ftrl", [capped(5.0, 60.0), CAPS[1], CAPS[2]], "`linear` is a difference of terms that may cancel"),
    (
        "adan",
        [CAPS[0], capped(300.0, 110.0), CAPS[2]],
        "it follows differences of gradients, which may cancel",
    ),
    (
        "sophia",
        [CAPS[0], CAPS[1], capped(1300.0, 100.0)],
        "its steps have mostly one size, so that a parameter is rounded to the same side thousands of times",
    ),
    (
        "lamb",
        [CAPS[0], capped(180.0, 110.0), CAPS[2]],
        "its rate is rounded once for all elements of a tensor, and what that is off by adds up",
    ),
    ("dog", [CAPS[0], capped(100.0, 250.0), capped(420.0, 400.0)], FOUND),
    ("prodigy", [CAPS[0], capped(500.0, 1300.0), CAPS[2]], FOUND),
    ("dadapt_adam", [CAPS[0], capped(800.0, 2100.0), CAPS[2]], FOUND),
];

const FOUND: &str = "its rate is a quotient of sums that may cancel";

/// Panics where a row exceeds its caps: then it must neither pass nor be written down.
pub fn check_caps((name, errors): &Row) {
    let excused = EXCUSED.iter().find(|(rule, ..)| rule == name);
    let caps = excused.map_or(CAPS, |(_, caps, _)| *caps);
    for ((found, cap), steps) in errors.iter().zip(caps).zip(STEPS) {
        assert!(
            found.params <= cap.params && found.state <= cap.state,
            "{name} after {steps} steps: {found:?} ULP are more than {cap:?}, which no rule may have without a reason: mend \
             the kernel, or find out where the error comes from and say so in EXCUSED of tests/accuracy/table.rs"
        );
    }
}

const HEAD: &str = "\
# How far each rule may be from exact

The worst error in units in the last place (ULP) of a parameter / of its state, against a reference in `f64` that shares no
code with the crate. `cargo test --test accuracy` holds every rule to its line; after a change,
`WRITE_PRECISION=1 cargo test --test accuracy` measures anew, and writes what it finds with a tenth added.

After 1 and 100 steps: every combination of a rule's own flags and choices, with usual and odd numbers, and with the options
that all rules have. After 10,000 steps: every preset. Gradients are random, of five scales from 0.001 to 10, one in ten zero.
The unit is that of the largest magnitude that the value has had: a parameter that passes through zero has not become
infinitely wrong there. An element is left out where a sign or a bound hangs on the last digits of a sum that all but cancels.

Rules of whole tensors: 5,003 elements for 1 and 100 steps, more than a block of their sums; an error of a sum is one
that all elements share. Those that find their rate (dog, dowg, prodigy, dadapt_adam) descend into a bowl, from a first
estimate of 0.01: on random gradients a rate grows without end, and small errors with it; from the usual estimates, some
1e-6, the first steps are below an ULP of a parameter, so that what is found is rounding.

A parameter collects an error of up to half an ULP at each step, whatever the rule: after 10,000 steps whose errors add up at
random, some 50 ULP at worst.

| rule | 1 step | 100 steps | 10,000 steps |
|---|---|---|---|
";

const TAIL: &str = "
Caps bound every line, whatever is measured: 5 / 3 ULP after 1 step, 100 / 110 after 100, 420 / 100 after 10,000. A rule that
needs a higher one has it by name, with the reason, in tests/accuracy/table.rs:

";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/precision.md")
}

pub fn read() -> Vec<Row> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    text.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let mut cells = line.strip_prefix("| `")?.trim_end_matches(" |").split(" | ");
    let name = cells.next()?.trim_end_matches('`').to_owned();
    let errors: Vec<Errors> = cells.map(errors).collect();
    Some((name, errors.try_into().expect("three columns")))
}

fn errors(cell: &str) -> Errors {
    let (params, state) = cell.split_once(" / ").expect("parameters / state");
    Errors { params: params.parse().expect("a number"), state: state.parse().expect("a number") }
}

/// With a tenth more than was measured.
pub fn write(rows: &[Row]) {
    let more = |ulps: f64| (11.0 * ulps).ceil() / 10.0;
    let cell = |errors: &Errors| format!("{:.1} / {:.1}", more(errors.params), more(errors.state));
    let line = |(name, errors): &Row| {
        let [one, hundred, many] = errors.each_ref().map(cell);
        format!("| `{name}` | {one} | {hundred} | {many} |\n")
    };
    rows.iter().for_each(check_caps);
    let table: String = rows.iter().map(line).collect();
    let excuse = |(rule, _, reason): &(&str, [Errors; 3], &str)| format!("- `{rule}`: {reason}.\n");
    let excuses: String = EXCUSED.iter().map(excuse).collect();
    fs::write(path(), format!("{HEAD}{table}{TAIL}{excuses}")).expect("docs can be written");
}
