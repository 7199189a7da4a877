//! Hyper-parameters by name.

use crate::{
    error::Error,
    name::Name,
    rule::{
        nearest,
        values::{Domain, Kind, OptionInfo, Value},
    },
};

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
