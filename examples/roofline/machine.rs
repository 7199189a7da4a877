//! What this was measured on.

use std::fs;

use gradstep::Backend;

pub fn describe(threads: usize) -> String {
    let backend = Backend::detect();
    format!(
        "{}, {}, backend {backend} ({}), gradstep {}",
        processor(),
        count(threads),
        backend.instructions(),
        env!("CARGO_PKG_VERSION"),
    )
}

pub fn count(threads: usize) -> String {
    if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") }
}

/// As Linux on x86 names it; elsewhere the architecture must do.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or(std::env::consts::ARCH, |(_, name)| name).to_owned()
}
