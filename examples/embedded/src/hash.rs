//! One number for many, to compare machines by.

/// The 64-bit hash FNV-1a (Fowler, Noll and Vo) of all bits.
pub fn hash<'a>(floats: impl IntoIterator<Item = &'a f32>) -> u64 {
    let bytes = floats.into_iter().flat_map(|float| float.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
