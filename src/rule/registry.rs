//! What the table of rules in `rules.rs` expands to: the modules, and the type that is any of their rules.

/// Each line is `module: Variant(Type) as preset, ...`. The module's name is the rule's; `Variant` is also the type
/// that has the presets as functions, of which the first is the usual one; `Type` is what they return.
///
/// In brackets follow the frameworks' own names: first `other = name` for rules that are called otherwise here, then
/// `other: Variant(function) as preset` for those that are a preset of another rule here.
macro_rules! registry {
    (
        $($name:ident: $Variant:ident($Rule:ident) as $usual:ident $(, $preset:ident)*;)*
        [$($other:ident = $same:ident;)*]
        [$($part:ident: $Whole:ident($function:ident) as $framework:ident;)*]
    ) => {
        $(
            mod $name;
            pub use $name::*;
        )*

        /// Any rule of the registry, chosen at run time by its name.
        ///
        /// ```
        /// use gradstep::{AnyRule, Options, step};
        ///
        /// let mut rule = AnyRule::named("momentum")?;
        /// rule.set("lr", 0.5)?;
        /// rule.set("nesterov", true)?;
        /// let (mut params, mut momentum_buffer) = ([1.0], [0.0]);
        /// step(&rule, 1, &mut params, &[0.5], &mut [&mut momentum_buffer])?;
        ///
        /// let refusal = rule.set("momentun", 0.5).unwrap_err();
        /// assert!(refusal.to_string().starts_with("momentum has no option \"momentun\" (did you mean momentum?); it has lr, "));
        /// # Ok::<(), gradstep::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum AnyRule {
            $(#[doc = concat!("The rule `", stringify!($name), "`.")] $Variant($Rule),)*
        }

        impl AnyRule {
            /// The names of all rules, in the order of the registry.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Names that frameworks have for a rule of [`NAMES`](Self::NAMES), or for a preset of one. They may be given
            /// wherever a name is, and the rule that comes back has its own.
            pub const OTHER_NAMES: &'static [&'static str] = &[$(stringify!($other),)* $(stringify!($part)),*];

            /// Returns what a rule is called here.
            fn own_name(name: &str) -> &str {
                match name {
                    $(stringify!($other) => stringify!($same),)*
                    _ => name,
                }
            }

            /// The rule of that name, with its usual preset.
            ///
            /// # Errors
            /// [`Error::UnknownRule`](crate::Error::UnknownRule), which lists the names there are.
            pub fn named(name: &str) -> Result<Self, $crate::error::Error> {
                match Self::own_name(name) {
                    $(stringify!($name) => Ok(Self::$Variant($Variant::$usual())),)*
                    $(stringify!($part) => Ok(Self::$Whole($Whole::$function())),)*
                    _ => Err($crate::error::Error::UnknownRule { name: $crate::name::Name::of(name), known: Self::NAMES }),
                }
            }

            /// The rule of that name, as a framework has it.
            ///
            /// # Errors
            /// [`Error::UnknownRule`](crate::Error::UnknownRule), or [`Error::UnknownPreset`](crate::Error::UnknownPreset), which lists the presets that the rule has.
            pub fn preset(name: &str, preset: &str) -> Result<Self, $crate::error::Error> {
                let refusal = |rule| $crate::error::Error::UnknownPreset { rule, preset: $crate::name::Name::of(preset), known: Self::presets(rule) };
                match Self::own_name(name) {
                    $(stringify!($name) => match preset {
                        stringify!($usual) => Ok(Self::$Variant($Variant::$usual())),
                        $(stringify!($preset) => Ok(Self::$Variant($Variant::$preset())),)*
                        _ => Err(refusal(stringify!($name))),
                    },)*
                    $(stringify!($part) => match preset {
                        stringify!($framework) => Ok(Self::$Whole($Whole::$function())),
                        _ => Err(refusal(stringify!($part))),
                    },)*
                    _ => Err($crate::error::Error::UnknownRule { name: $crate::name::Name::of(name), known: Self::NAMES }),
                }
            }

            /// The names of a rule's presets, the usual one first; empty for an unknown rule.
            #[must_use]
            pub fn presets(name: &str) -> &'static [&'static str] {
                match Self::own_name(name) {
                    $(stringify!($name) => &[stringify!($usual) $(, stringify!($preset))*],)*
                    $(stringify!($part) => &[stringify!($framework)],)*
                    _ => &[],
                }
            }

            /// The options that this rule has.
            #[must_use]
            pub fn options(&self) -> &'static [$crate::rule::values::OptionInfo] {
                match self {
                    $(Self::$Variant(rule) => $crate::rule::options::Options::options(rule),)*
                }
            }

            /// Sets one option by name.
            ///
            /// # Errors
            /// As [`Options::set`](crate::Options::set); nothing has changed then.
            pub fn set<'a>(&mut self, option: &str, value: impl Into<$crate::rule::values::Value<'a>>) -> Result<(), $crate::error::Error> {
                match self {
                    $(Self::$Variant(rule) => $crate::rule::options::Options::set(rule, option, value),)*
                }
            }

            /// The present value of an option; `None` where the rule has none of that name.
            #[must_use]
            pub fn get(&self, option: &str) -> Option<$crate::rule::values::Value<'static>> {
                match self {
                    $(Self::$Variant(rule) => $crate::rule::options::Options::get(rule, option),)*
                }
            }
        }

        impl $crate::rule::options::Options for AnyRule {
            fn options(&self) -> &'static [$crate::rule::values::OptionInfo] {
                self.options()
            }

            fn set<'a>(&mut self, option: &str, value: impl Into<$crate::rule::values::Value<'a>>) -> Result<(), $crate::error::Error> {
                self.set(option, value)
            }

            fn get(&self, option: &str) -> Option<$crate::rule::values::Value<'static>> {
                self.get(option)
            }
        }

        impl $crate::rule::rule::Rule for AnyRule {
            fn name(&self) -> &'static str {
                match self {
                    $(Self::$Variant(_) => stringify!($name),)*
                }
            }

            fn kind(&self) -> &'static str {
                self.erased().kind()
            }

            fn convention(&self) -> &'static str {
                self.erased().convention()
            }

            fn slots(&self) -> &'static [$crate::rule::slots::Slot] {
                self.erased().slots()
            }

            fn initial(&self, slot: usize) -> f32 {
                self.erased().initial(slot)
            }

            fn check(&self) -> Result<(), $crate::error::Error> {
                self.erased().check()
            }

            fn prepare(&self) -> $crate::rule::regularize::Prepare {
                self.erased().prepare()
            }

            fn with_kernel<V: $crate::rule::kernel::KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> V::Output {
                match self {
                    $(Self::$Variant(rule) => rule.with_kernel(step, scalars, visitor),)*
                }
            }

            fn measures(&self) -> Option<&dyn $crate::rule::sums::Measures> {
                self.erased().measures()
            }

            fn with_measuring_kernel<V: $crate::rule::kernel::KernelVisitor>(&self, step: u64, scalars: &[f64], visitor: V) -> Option<V::Output> {
                match self {
                    $(Self::$Variant(rule) => rule.with_measuring_kernel(step, scalars, visitor),)*
                }
            }

            fn erased(&self) -> &dyn $crate::sweep::erased::ErasedRule {
                match self {
                    $(Self::$Variant(rule) => rule.erased(),)*
                }
            }
        }
    };
}

pub(crate) use registry;
