//! The hashes that every machine must have.

/// A line for each rule: its name, then its hash in each scene, and that of its checkpoint, in hexadecimal.
pub const TABLE: &str = include_str!("../hashes.txt");

/// What the table has for this rule, in its usual preset, under a head: the name of a [`Scene`](crate::Scene), or
/// `checkpoint`. `None` where there is no such entry.
#[must_use]
pub fn expected(rule: &str, head: &str) -> Option<u64> {
    let mut rows = TABLE.lines().map(|row| row.trim_start_matches("# ").split_whitespace());
    let column =
        rows.clone().find(|row| row.clone().next() == Some("rule"))?.position(|cell| cell == head)?;
    let mut row = rows.find(|row| row.clone().next() == Some(rule))?;
    u64::from_str_radix(row.nth(column)?, 16).ok()
}
