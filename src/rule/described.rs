//! What a rule says of itself, whatever its type.

use crate::{
    error::Error,
    rule::{regularize::Prepare, slots::Slot, sums::Measures},
};

/// A rule without its type and its kernels. Every [`Rule`](crate::Rule) is one, and each method is the rule's of that name.
pub trait DescribedRule: Sync {
    #[doc(hidden)]
    fn name(&self) -> &'static str;
    #[doc(hidden)]
    fn kind(&self) -> &'static str;
    #[doc(hidden)]
    fn convention(&self) -> &'static str;
    #[doc(hidden)]
    fn slots(&self) -> &'static [Slot];
    #[doc(hidden)]
    fn initial(&self, slot: usize) -> f32;
    #[doc(hidden)]
    fn check(&self) -> Result<(), Error>;
    #[doc(hidden)]
    fn prepare(&self) -> Prepare;
    #[doc(hidden)]
    fn measures(&self) -> Option<&dyn Measures>;
}
