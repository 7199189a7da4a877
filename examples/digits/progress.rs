//! A progress bar for each rule.

use gradstep::train::Epoch;
use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{prefix:>10} {bar:40} epoch {pos}/{len}{msg}";

/// A bar over `epochs`. On anything but a terminal it stays invisible without being told to.
pub fn bar(rule: &'static str, epochs: u32, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
    ProgressBar::new(epochs.into()).with_style(style).with_prefix(rule)
}

pub fn show(bar: &ProgressBar, epoch: &Epoch) {
    bar.set_message(format!(", loss {:.4}", epoch.loss));
    bar.inc(1);
}
