//! What values options take.

use core::fmt;

use crate::name::list;

/// The largest number that an option takes, and the largest product of a learning rate and a weight decay. The fourth power
/// of this is still within `f32`: two steps that multiply a parameter by two options each do not leave it.
pub(crate) const LARGEST: f64 = 1e9;

/// Which numbers an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Domain {
    /// Any but NaN and the infinities.
    Finite,
    /// Finite, and 0 or above.
    NonNegative,
    /// 0 or above, and below 1: the decay of an average.
    BelowOne,
    /// From 0 to 1, both included.
    Unit,
    /// Finite, and above 0.
    Positive,
    /// Finite, and above 1.
    AboveOne,
    /// Above 0, and at most 1.
    PositiveUnit,
    /// From 0 to 4, both included: a power.
    UpToFour,
    /// 0, or of a size from 1e-37 to 1e9. Every number of a rule has to be of this size as well, because it ends in an
    /// `f32`: below, it would become 0 there; two options above, one times the other, would leave `f32` in the second step.
    Moderate,
}

impl Domain {
    /// Returns whether `value` is in the domain. NaN and infinities never are.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        match self {
            Self::Finite => value.is_finite(),
            Self::NonNegative => (0.0..f64::INFINITY).contains(&value),
            Self::BelowOne => (0.0..1.0).contains(&value),
            Self::Unit => (0.0..=1.0).contains(&value),
            Self::Positive => value > 0.0 && value.is_finite(),
            Self::AboveOne => value > 1.0 && value.is_finite(),
            Self::PositiveUnit => value > 0.0 && value <= 1.0,
            Self::UpToFour => (0.0..=4.0).contains(&value),
            Self::Moderate => value == 0.0 || (1e-37..=LARGEST).contains(&value.abs()),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finite => "finite",
            Self::NonNegative => "finite and 0 or above",
            Self::BelowOne => "0 or above and below 1",
            Self::Unit => "from 0 to 1",
            Self::Positive => "finite and above 0",
            Self::AboveOne => "finite and above 1",
            Self::PositiveUnit => "above 0 and at most 1",
            Self::UpToFour => "from 0 to 4",
            Self::Moderate => "0 or of a size from 1e-37 to 1e9",
        })
    }
}

/// The value of an option when it is named at run time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// For options that are numbers.
    Number(f64),
    /// For options that are on or off.
    Flag(bool),
    /// For options that are one of several words.
    Choice(&'a str),
}

impl<'a> Value<'a> {
    /// Reads a value as a command line or a file has it: a number, `true` or `false`, or else a word.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        if let Ok(number) = text.parse() {
            Self::Number(number)
        } else if let Ok(flag) = text.parse() {
            Self::Flag(flag)
        } else {
            Self::Choice(text)
        }
    }
}

/// Numbers of any type. An integer that `f64` does not hold exactly, beyond 2^53, becomes the nearest one; no option of a
/// rule takes a number as large as that.
macro_rules! numbers {
    ($($ty:ty)*) => {
        $(impl From<$ty> for Value<'_> {
            fn from(number: $ty) -> Self {
                Self::Number(number as f64)
            }
        })*
    };
}

numbers!(f64 f32 i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(word: &'a str) -> Self {
        Self::Choice(word)
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Choice(word) => f.write_str(word),
        }
    }
}

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number of this domain.
    Number(Domain),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(domain) => write!(f, "a number, {domain}"),
            Self::Flag => f.write_str("true or false"),
            Self::Choice(words) => {
                f.write_str("one of ")?;
                list(f, *words)
            }
        }
    }
}

/// An option of a rule: its name and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionInfo {
    /// The name, that of the setter.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
}
