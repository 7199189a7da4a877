//! Which instructions a step runs on: found, listed, named, forced.

use core::fmt;

use crate::{
    error::Error,
    name::Name,
    simd::{
        isa::{Vectorized, compiled},
        scalar::Scalar,
        wide::Wide,
    },
};

#[cfg(all(feature = "std", target_arch = "x86_64"))]
use {
    crate::simd::x86::OnX86,
    pulp::x86::{V3, V4},
};

/// A set of instructions that this machine has.
///
/// A value of this type is the proof: it can't be made for instructions that are missing. All backends give the same
/// bits, so the choice is one of speed; forcing one serves tests, benchmarks and builds without `std`.
///
/// ```
/// use gradstep::Backend;
///
/// let best = Backend::detect();
/// assert!(Backend::available().any(|backend| backend == best));
/// assert_eq!(Backend::named("scalar").unwrap().lanes(), 1);
/// ```
#[derive(Clone, Copy)]
pub struct Backend(Kind);

#[derive(Clone, Copy)]
enum Kind {
    Scalar,
    Wide,
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Avx2(V3),
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Avx512(V4),
}

impl Backend {
    /// The names of all backends, those that this build or this machine lacks included, slowest first.
    pub const NAMES: [&'static str; 4] = ["scalar", "wide", "avx2", "avx512"];

    /// One element at a time: the meaning that all others are held to.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// The SIMD that the target was compiled for: SSE2 on x86-64, NEON on aarch64, simd128 on wasm with that
    /// feature. Where it has none, this is [`SCALAR`](Self::SCALAR), and no backend is named `wide`: arrays in the
    /// place of registers would cost instructions and flash, and gain nothing.
    pub const WIDE: Self = if Wide::SIMD.is_some() { Self(Kind::Wide) } else { Self::SCALAR };

    /// The fastest backend of this machine. The first call asks the processor; later ones read a cached answer.
    #[must_use]
    pub fn detect() -> Self {
        Self::detect_x86().unwrap_or(Self::WIDE)
    }

    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    fn detect_x86() -> Option<Self> {
        Self::avx512().or_else(Self::avx2)
    }

    #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
    fn detect_x86() -> Option<Self> {
        None
    }

    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    fn avx2() -> Option<Self> {
        V3::try_new().map(|proof| Self(Kind::Avx2(proof)))
    }

    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    fn avx512() -> Option<Self> {
        V4::try_new().map(|proof| Self(Kind::Avx512(proof)))
    }

    /// The backend of that name.
    ///
    /// # Errors
    /// [`Error::UnknownBackend`] for a name that is not in [`NAMES`](Self::NAMES), [`Error::MissingBackend`] where
    /// this build or this machine does not have it.
    pub fn named(name: &str) -> Result<Self, Error> {
        let found = match name {
            "scalar" => Some(Self::SCALAR),
            "wide" => Wide::SIMD.map(|_| Self::WIDE),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            "avx2" => Self::avx2(),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            "avx512" => Self::avx512(),
            known if Self::NAMES.contains(&known) => None,
            _ => return Err(Error::UnknownBackend { name: Name::of(name), known: &Self::NAMES }),
        };
        found.ok_or(Error::MissingBackend { name: Name::of(name) })
    }

    /// Every backend that this build has and this machine can run, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().filter_map(|name| Self::named(name).ok())
    }

    /// The name, one of [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            Kind::Wide => "wide",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2(_) => "avx2",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512(_) => "avx512",
        }
    }

    /// The instructions behind the name: `wide` is another set on every target.
    #[must_use]
    pub fn instructions(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            Kind::Wide => Wide::SIMD.unwrap_or_default(),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2(_) => "AVX2",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512(_) => "AVX-512",
        }
    }

    /// Returns how many elements one register holds.
    #[must_use]
    pub fn lanes(self) -> usize {
        match self.0 {
            Kind::Scalar => 1,
            Kind::Wide => Wide::LANES,
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2(_) => 8,
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512(_) => 16,
        }
    }

    #[inline]
    pub(crate) fn dispatch<V: Vectorized>(self, work: V) -> V::Output {
        match self.0 {
            Kind::Wide if Wide::SIMD.is_some() => compiled(Wide, work),
            Kind::Scalar | Kind::Wide => compiled(Scalar, work),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx2(proof) => pulp::Simd::vectorize(proof, OnX86(work)),
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            Kind::Avx512(proof) => pulp::Simd::vectorize(proof, OnX86(work)),
        }
    }
}

impl PartialEq for Backend {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Backend {}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({self})")
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_has_several_lanes_or_is_scalar() {
        let named = Backend::named("wide").unwrap_or(Backend::SCALAR);
        assert_eq!(Backend::WIDE, named);
        assert_eq!(Backend::WIDE.lanes() > 1, Backend::WIDE != Backend::SCALAR);
    }
}
