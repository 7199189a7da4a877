//! Words in messages, without an allocator.

use core::fmt::{self, Write as _};

/// Writes words with commas between them.
pub(crate) fn list(
    f: &mut fmt::Formatter<'_>,
    words: impl IntoIterator<Item = impl fmt::Display>,
) -> fmt::Result {
    for (i, word) in words.into_iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{word}")?;
    }
    Ok(())
}

/// A word that a caller gave, kept without an allocator. Of a long one the end is kept, because layers of one model differ
/// there; a `…` in front shows that something was cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl Name {
    /// With the length beside it, a name has 48 bytes.
    const CAPACITY: usize = 47;

    /// Stands for what was cut off.
    const CUT: &str = "…";

    pub(crate) fn of(word: impl fmt::Display) -> Self {
        let mut name = Self { bytes: [0; Self::CAPACITY], len: 0 };
        // An error message with a part of the name is better than none.
        let _ = write!(name, "{word}");
        name
    }

    /// `"#3"`. Does not format: that would be the larger part of a step's firmware.
    pub(crate) fn number(mut n: usize) -> Self {
        let len = 2 + n.checked_ilog10().unwrap_or(0) as u8;
        let mut name = Self { bytes: [b'#'; Self::CAPACITY], len };
        for digit in name.bytes.iter_mut().take(len.into()).skip(1).rev() {
            *digit = b'0' + (n % 10) as u8;
            n /= 10;
        }
        name
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len.into()).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let before = *self;
        let room = Self::CAPACITY - Self::CUT.len();
        let parts = if before.as_str().len() + text.len() <= Self::CAPACITY {
            ["", before.as_str(), text]
        } else {
            [Self::CUT, end_of(before.as_str(), room.saturating_sub(text.len())), end_of(text, room)]
        };
        self.len = parts.iter().map(|part| part.len() as u8).sum();
        let bytes = parts.iter().flat_map(|part| part.bytes());
        self.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Ok(())
    }
}

/// The last characters of a text that have room in so many bytes.
fn end_of(text: &str, room: usize) -> &str {
    let from = text.len().saturating_sub(room);
    let from = (from..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    text.get(from..).unwrap_or_default()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;

    use std::{format, string::String};

    #[test]
    fn numbers_are_those_that_formatting_makes() {
        for n in [0, 1, 9, 10, 99, 100, 12_345, usize::MAX] {
            assert_eq!(Name::number(n).as_str(), Name::of(format_args!("#{n}")).as_str());
        }
    }

    #[test]
    fn short_names_are_kept_whole() {
        for len in 0..=Name::CAPACITY {
            let word: String = ('a'..='z').cycle().take(len).collect();
            assert_eq!(Name::of(&word).as_str(), word);
        }
        assert_eq!(size_of::<Name>(), 48);
    }

    #[test]
    fn long_names_keep_their_end_and_show_the_cut() {
        let layer = |i| format!("model.encoder.layers.{i}.self_attn.out_proj.lora_B.default.weight");
        assert_eq!(Name::of(layer(7)).as_str(), "…s.7.self_attn.out_proj.lora_B.default.weight");
        assert_ne!(Name::of(layer(7)), Name::of(layer(8)));
    }

    /// However a word is handed over, in one piece or in several, and whatever the length of its characters.
    #[test]
    fn names_are_cut_between_characters() {
        for unit in ["a", "ü", "層", "🦀", "aü層🦀"] {
            let word = unit.repeat(60);
            for (skipped, _) in word.char_indices() {
                let word = &word[skipped..];
                let name = Name::of(word);
                let pieces = word.char_indices().map(|(at, _)| at).step_by(7);
                for at in pieces {
                    let (first, rest) = word.split_at(at);
                    assert_eq!(Name::of(format_args!("{first}{rest}")), name);
                }
                match name.as_str().strip_prefix('…') {
                    Some(end) => assert!(word.ends_with(end) && end.len() > Name::CAPACITY - 7),
                    None => assert_eq!(name.as_str(), word),
                }
            }
        }
    }
}
