//! Hyper-parameters by name: what kinds there are, what values they take, and the macro that declares them.

use core::fmt;

use crate::{
    error::{Error, Name},
    rule::nearest,
};

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
    /// Whether `value` is in the domain. NaN and infinities never are.
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
                crate::error::list(f, *words)
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

/// The hyper-parameters of a rule, reached by name. Their setters are methods of each rule.
///
/// An option has the name and the meaning that the framework of the preset gives it, spelt as PyTorch spells it: `lr`,
/// `beta1`, `eps`, `weight_decay`. Where frameworks mean different numbers by one name, the preset says which: `decay`,
/// `eps_place` and `l1_form` hold the framework's convention.
///
/// An epsilon of 0 is taken, as the frameworks take it. A rule that divides by a root of squares then makes NaN, 0/0, of a
/// parameter that has never had a gradient.
pub trait Options: Sized {
    /// All options, in the order in which the rule's documentation gives them.
    fn options(&self) -> &'static [OptionInfo];

    /// Sets one option. The order of several calls does not matter: whether options contradict each other is asked by
    /// [`Rule::check`](crate::Rule::check), which every step begins with.
    ///
    /// # Errors
    /// [`Error::UnknownOption`], which names the option that was probably meant, [`Error::WrongValue`] or
    /// [`Error::OutOfRange`]; nothing has changed then.
    fn set<'a>(&mut self, option: &str, value: impl Into<Value<'a>>) -> Result<(), Error>;

    /// The present value of an option; `None` where the rule has none of that name.
    fn get(&self, option: &str) -> Option<Value<'static>>;
}

/// A type that an option can have.
pub(crate) trait OptionType: Copy {
    fn read(value: Value<'_>) -> Option<Self>;
    fn show(self) -> Value<'static>;

    /// Reads a value that was meant for this option.
    fn take(rule: &'static str, option: OptionInfo, value: Value<'_>) -> Result<Self, Error> {
        Self::read(value).ok_or_else(|| Error::WrongValue {
            rule,
            option: option.name,
            expected: option.kind,
            found: Name::of(value),
            nearest: nearest::another_word(rule, option.name),
        })
    }
}

/// An option type that needs no [`Domain`].
pub(crate) trait NotNumber: OptionType {
    const KIND: Kind;
}

impl OptionType for f64 {
    fn read(value: Value<'_>) -> Option<Self> {
        if let Value::Number(number) = value { Some(number) } else { None }
    }

    fn show(self) -> Value<'static> {
        Value::Number(self)
    }
}

impl OptionType for bool {
    fn read(value: Value<'_>) -> Option<Self> {
        if let Value::Flag(flag) = value { Some(flag) } else { None }
    }

    fn show(self) -> Value<'static> {
        Value::Flag(self)
    }
}

impl NotNumber for bool {
    const KIND: Kind = Kind::Flag;
}

/// Declares an option whose values are words.
macro_rules! choices {
    ($(#[$meta:meta])* pub enum $Choice:ident { $($(#[$doc:meta])* $Word:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Choice { $($(#[$doc])* $Word,)* }

        impl $crate::rule::options::NotNumber for $Choice {
            const KIND: $crate::rule::options::Kind = $crate::rule::options::Kind::Choice(&[$($word),*]);
        }

        impl $crate::rule::options::OptionType for $Choice {
            fn read(value: $crate::rule::options::Value<'_>) -> Option<Self> {
                match value {
                    $($crate::Value::Choice($word) => Some(Self::$Word),)*
                    _ => None,
                }
            }

            fn show(self) -> $crate::rule::options::Value<'static> {
                $crate::Value::Choice(self.word())
            }
        }

        impl $Choice {
            /// The word that stands for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$Word => $word),* }
            }
        }
    };
}

/// Declares a rule's hyper-parameters: the struct, a checked setter for each, and access by name. The options that
/// every rule has are added here. A field that is a number names its [`Domain`]. A rule that has a term of its own for
/// weight decay or for L1 says `within update`; one whose options can contradict each other names a function that
/// finds it out, which no step goes past.
macro_rules! rule_options {
    (
        $(#[$meta:meta])*
        pub struct $Rule:ident = $name:literal {
            $($(#[$doc:meta])* $field:ident: $ty:ty $(=> $domain:ident)?,)*
        }
        $(within update: $Term:ident)?
        $(refused by $check:path)?
    ) => {
        $crate::rule::options::rule_options! {
            @expand [$(#[$meta])*] $Rule $name [$($Term)?] [$($check)?] [$($field: $ty,)*]
            $([$(#[$doc])*] [$field] $field: $ty $(=> $domain)?;)*
            [
                /// Weight decay, 0 for none. `decay` says how it enters a step.
            ] [common.weight_decay] weight_decay: f64 => NonNegative;
            [
                /// How weight decay enters a step.
            ] [common.decay] decay: $crate::rule::regularize::Decay;
            [
                /// Climb instead of descend: the gradient's sign is turned.
            ] [common.maximize] maximize: bool;
            [
                /// L1 regularisation, 0 for none. `l1_form` says how it enters a step.
            ] [common.l1] l1: f64 => NonNegative;
            [
                /// How `l1` enters a step.
            ] [common.l1_form] l1_form: $crate::rule::regularize::L1;
            [
                /// Leaves a parameter where it is when the rule would move it against its gradient (Liang et al.,
                /// "Cautious Optimizers", 2024, without their scaling by the mean of the mask).
            ] [common.cautious] cautious: bool;
            [
                /// Leaves decay out where the rule moves a parameter away from zero (Chen et al., "Cautious Weight
                /// Decay", 2025). Refused with the decays "coupled" and "update", which are a part of something else.
            ] [common.cautious_decay] cautious_decay: bool;
        }
    };
    (
        @expand [$(#[$meta:meta])*] $Rule:ident $name:literal [$($Term:ident)?] [$($check:path)?]
        [$($own:ident: $own_ty:ty,)*]
        $([$(#[$doc:meta])*] [$($path:ident).+] $field:ident: $ty:ty $(=> $domain:ident)?;)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $Rule {
            $($own: $own_ty,)*
            common: $crate::rule::regularize::Common,
        }

        impl $Rule {
            const NAME: &'static str = $name;

            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a number outside the option's
                /// [`Domain`](crate::Domain), or outside [`Domain::Moderate`](crate::Domain::Moderate).
                pub fn $field(mut self, $field: $ty) -> Result<Self, $crate::error::Error> {
                    $($crate::rule::options::check_kept(Self::NAME, stringify!($field), $field, $crate::rule::options::Domain::$domain)?;)?
                    self.$($path).+ = $field;
                    Ok(self)
                }
            )*

            fn contradictions(&self) -> Option<&'static str> {
                let term = None $(.or(Some($crate::rule::regularize::Within::$Term)))?;
                self.common.contradiction(self.lr, term) $(.or_else(|| $check(self)))?
            }
        }

        impl $crate::rule::options::Options for $Rule {
            fn options(&self) -> &'static [$crate::rule::options::OptionInfo] {
                &[$(
                    $crate::rule::options::OptionInfo {
                        name: stringify!($field),
                        kind: $crate::rule::options::rule_options!(@kind $ty $(=> $domain)?),
                    }
                ),*]
            }

            fn set<'a>(&mut self, option: &str, value: impl Into<$crate::rule::options::Value<'a>>) -> Result<(), $crate::error::Error> {
                let info = $crate::rule::options::find(Self::NAME, self.options(), option)?;
                let value = value.into();
                *self = match option {
                    $(stringify!($field) => {
                        self.$field($crate::rule::options::OptionType::take(Self::NAME, info, value)?)?
                    })*
                    _ => *self,
                };
                Ok(())
            }

            fn get(&self, option: &str) -> Option<$crate::rule::options::Value<'static>> {
                match option {
                    $(stringify!($field) => Some($crate::rule::options::OptionType::show(self.$($path).+)),)*
                    _ => None,
                }
            }
        }
    };
    (@kind $ty:ty => $domain:ident) => { $crate::rule::options::Kind::Number($crate::rule::options::Domain::$domain) };
    (@kind $ty:ty) => { <$ty as $crate::rule::options::NotNumber>::KIND };
}

/// What is alike in each `impl Rule` of the registry, for a struct that [`rule_options!`] has declared. It also has the loops
/// compiled once, with the crate, instead of with every program that takes the rule by its type. In firmware they are left to
/// the program: what is known of a rule is folded into its loop there.
macro_rules! rule_methods {
    () => {
        fn name(&self) -> &'static str {
            Self::NAME
        }

        fn kind(&self) -> &'static str {
            Self::NAME
        }

        fn check(&self) -> Result<(), $crate::error::Error> {
            let conflict = self.contradictions();
            conflict.map_or(Ok(()), |reason| Err($crate::Error::Conflict { rule: Self::NAME, reason }))
        }

        fn prepare(&self) -> $crate::rule::regularize::Prepare {
            self.common.prepare(self.lr)
        }

        #[cfg(feature = "std")]
        #[inline(never)]
        fn erased(&self) -> &dyn $crate::sweep::erased::ErasedRule {
            self
        }
    };
}

pub(crate) use {choices, rule_methods, rule_options};

pub(crate) fn check_number(
    rule: &'static str,
    option: &'static str,
    value: f64,
    domain: Domain,
) -> Result<(), Error> {
    if domain.contains(value) { Ok(()) } else { Err(Error::OutOfRange { rule, option, value, domain }) }
}

/// As [`check_number`], for a number that an `f32` will hold, perhaps as a factor of another one.
pub(crate) fn check_kept(
    rule: &'static str,
    option: &'static str,
    value: f64,
    domain: Domain,
) -> Result<(), Error> {
    check_number(rule, option, value, domain)?;
    check_number(rule, option, value, Domain::Moderate)
}

pub(crate) fn find(
    rule: &'static str,
    options: &'static [OptionInfo],
    name: &str,
) -> Result<OptionInfo, Error> {
    let known = options.iter().find(|option| option.name == name);
    known.copied().ok_or_else(|| unknown(rule, options, name))
}

pub(crate) fn unknown(rule: &'static str, options: &'static [OptionInfo], name: &str) -> Error {
    let nearest = nearest::option(rule, options, name);
    Error::UnknownOption { rule, option: Name::of(name), nearest, known: options }
}
