//! One allocation for the state of a whole model.
//!
//! The arena is a vector of cache lines. Each parameter has a block of it, in the order in which the parameters were registered:
//! one state slice after the other, each of which starts at a line of its own and takes at least one. So no two slices share a
//! line, every slice is aligned, and a walk along the parameters in the order of their registration finds every block with two
//! cuts of what is left of the arena.

use alloc::{borrow::ToOwned, string::String};
use core::ops::Range;

use wide::f32x16;

use crate::{
    model::ids::GroupId,
    rule::{
        limits::MAX_SCALARS,
        rule::Rule,
        slots::{Slot, full_slots},
    },
    tensor::tag::Tag,
};

/// A cache line: what every state slice starts at a multiple of.
pub(super) type Line = f32x16;
pub(super) const LINE: usize = size_of::<Line>() / size_of::<f32>();

/// What an optimizer keeps of a registered parameter beside its state.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) group: usize,
    pub(super) len: usize,
    /// Where its state is in the arena, in lines: one slice after the other, each from a line of its own.
    pub(super) lines: Range<usize>,
    pub(super) slots: &'static [Slot],
    pub(super) step: u64,
}

impl Entry {
    pub(super) fn new<R: Rule>(name: &str, group: GroupId, len: usize, start: usize, rule: &R) -> Self {
        let slots = rule.slots();
        let end = start + slots.iter().map(|slot| lines(slot.len(len))).sum::<usize>();
        Self { name: name.to_owned(), group: group.place, len, lines: start..end, slots, step: 0 }
    }

    /// The number of the step that it takes next. A loaded counter may be at its end, and stays there.
    pub(super) fn next_step(&self) -> u64 {
        self.step.saturating_add(1)
    }

    /// Returns where its state is in the arena, in elements.
    pub(super) fn elements(&self) -> Range<usize> {
        self.lines.start * LINE..self.lines.end * LINE
    }

    /// For the tensor at this place in the list of a step.
    pub(super) fn tag(&self, place: usize) -> Tag {
        Tag { group: self.group, step: self.next_step(), place, fresh: self.step == 0 }
    }

    /// Its part of the arena, off what is left of it from element `at` on.
    pub(super) fn take_block<'a>(&self, arena: &mut &'a mut [f32], at: &mut usize) -> &'a mut [f32] {
        let (_, rest) = core::mem::take(arena).split_at_mut(self.lines.start * LINE - *at);
        let (block, rest) = rest.split_at_mut(self.lines.len() * LINE);
        (*arena, *at) = (rest, self.lines.end * LINE);
        block
    }

    /// Its state slices within `block`, which is its part of the arena.
    pub(super) fn slices<'a>(&self, mut block: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let lens = self.slots.iter().map({
            let len = self.len;
            move |slot| slot.len(len)
        });
        lens.map(move |len| {
            let (slice, rest) = block.split_at(lines(len) * LINE);
            block = rest;
            &slice[..len]
        })
    }

    pub(super) fn slices_mut<'a>(&self, mut block: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let lens = self.slots.iter().map({
            let len = self.len;
            move |slot| slot.len(len)
        });
        lens.map(move |len| {
            let (slice, rest) = core::mem::take(&mut block).split_at_mut(lines(len) * LINE);
            block = rest;
            &mut slice[..len]
        })
    }
}

/// Returns how many lines a state slice takes; one even if it is empty, so that it can be told from no slice.
pub(super) fn lines(len: usize) -> usize {
    len.div_ceil(LINE).max(1)
}

/// No slice has more elements: it would have more bytes than an allocation can.
pub(super) const LONGEST: usize = isize::MAX as usize / size_of::<f32>();

impl Entry {
    pub(super) fn scalars(&self, arena: &[f32]) -> [f64; MAX_SCALARS] {
        let held = self.slots.iter().zip(self.slices(&arena[self.elements()])).skip(full_slots(self.slots));
        let mut scalars = [0.0; MAX_SCALARS];
        scalars.iter_mut().zip(held).for_each(|(scalar, (slot, slice))| *scalar = slot.read(slice));
        scalars
    }

    /// Returns where the numbers about the whole tensor are: in a line each, at the end.
    pub(super) fn lines_of_scalars(&self) -> Range<usize> {
        let scalars = self.slots.len() - full_slots(self.slots);
        self.lines.end - scalars..self.lines.end
    }
}
