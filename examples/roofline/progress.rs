//! How far the measurements are.

use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{bar:40} {pos}/{len} {msg}";

/// On anything but a terminal it stays invisible.
pub fn bar(cases: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
    ProgressBar::new(cases as u64).with_style(style)
}
