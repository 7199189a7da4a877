//! Random numbers that are the same on every machine.

/// The next number of the generator SplitMix64 (Steele, Lea and Flood, 2014): a few integer operations. Its whole state is one
/// number, the seed at first.
pub(crate) fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::splitmix64;

    /// The first numbers that the authors' code gives for the seed 0.
    #[test]
    fn known_numbers() {
        let mut state = 0;
        let first = core::array::from_fn(|_| splitmix64(&mut state));
        assert_eq!(first, [0xe220_a839_7b1d_cdaf_u64, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }
}
