//! Options whose values are words.

/// Declares an option whose values are words.
macro_rules! choices {
    ($(#[$meta:meta])* pub enum $Choice:ident { $($(#[$doc:meta])* $Word:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Choice { $($(#[$doc])* $Word,)* }

        impl $crate::rule::options::NotNumber for $Choice {
            const KIND: $crate::rule::values::Kind = $crate::rule::values::Kind::Choice(&[$($word),*]);
        }

        impl $crate::rule::options::OptionType for $Choice {
            fn read(value: $crate::rule::values::Value<'_>) -> Option<Self> {
                match value {
                    $($crate::rule::values::Value::Choice($word) => Some(Self::$Word),)*
                    _ => None,
                }
            }

            fn show(self) -> $crate::rule::values::Value<'static> {
                $crate::rule::values::Value::Choice(self.word())
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

pub(crate) use choices;
