//! The macros that declare a rule of the crate.

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
        $crate::rule::declare::rule_options! {
            @expand [$(#[$meta])*] $Rule $name [$($Term)?] [$($check)?] [$($field: $ty,)*]
            $([$(#[$doc])*] [$field] $field: $ty $(=> $domain)?;)*
            [
                /// Weight decay, 0 for none. `decay` says how it enters a step.
            ] [common.weight_decay] weight_decay: f64 => NonNegative;
            [
                /// How weight decay enters a step.
            ] [common.decay] decay: $crate::rule::common::Decay;
            [
                /// Climb instead of descend: the gradient's sign is turned.
            ] [common.maximize] maximize: bool;
            [
                /// L1 regularisation, 0 for none. `l1_form` says how it enters a step.
            ] [common.l1] l1: f64 => NonNegative;
            [
                /// How `l1` enters a step.
            ] [common.l1_form] l1_form: $crate::rule::common::L1;
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
            common: $crate::rule::common::Common,
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
                    $($crate::rule::options::check_kept(Self::NAME, stringify!($field), $field, $crate::rule::values::Domain::$domain)?;)?
                    self.$($path).+ = $field;
                    Ok(self)
                }
            )*

            #[cfg_attr(not(feature = "std"), inline(always))]
            fn contradictions(&self) -> Option<&'static str> {
                let term = None $(.or(Some($crate::rule::common::Within::$Term)))?;
                self.common.contradiction(self.lr, term) $(.or_else(|| $check(self)))?
            }
        }

        impl $crate::rule::options::Options for $Rule {
            fn options(&self) -> &'static [$crate::rule::values::OptionInfo] {
                &[$(
                    $crate::rule::values::OptionInfo {
                        name: stringify!($field),
                        kind: $crate::rule::declare::rule_options!(@kind $ty $(=> $domain)?),
                    }
                ),*]
            }

            fn set<'a>(&mut self, option: &str, value: impl Into<$crate::rule::values::Value<'a>>) -> Result<(), $crate::error::Error> {
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

            fn get(&self, option: &str) -> Option<$crate::rule::values::Value<'static>> {
                match option {
                    $(stringify!($field) => Some($crate::rule::options::OptionType::show(self.$($path).+)),)*
                    _ => None,
                }
            }
        }
    };
    (@kind $ty:ty => $domain:ident) => { $crate::rule::values::Kind::Number($crate::rule::values::Domain::$domain) };
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

        #[cfg_attr(not(feature = "std"), inline(always))]
        fn check(&self) -> Result<(), $crate::error::Error> {
            let conflict = self.contradictions();
            conflict.map_or(Ok(()), |reason| Err($crate::error::Error::Conflict { rule: Self::NAME, reason }))
        }

        #[cfg_attr(not(feature = "std"), inline(always))]
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

pub(crate) use {rule_methods, rule_options};
