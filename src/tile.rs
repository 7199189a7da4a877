//! Tiles: pieces of a tensor that stay in the nearest cache while more than one thing is done to them.

use core::ops::Range;

/// Elements of a tile. Without an operating system the stack may be small; the bits do not depend on it.
pub(crate) const TILE: usize = if cfg!(feature = "std") { 1024 } else { 64 };

/// Room for one.
pub(crate) type Buffer = [f32; TILE];

/// The tiles of a range, the last of which may be shorter.
pub(crate) fn tiles(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    range.clone().step_by(TILE).map(move |at| at..(at + TILE).min(end))
}
