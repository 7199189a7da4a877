//! What the device must print, to the last bit.

use gradstep_embedded::{Buffers, report};

#[test]
fn the_host_prints_what_the_device_prints() {
    let (mut buffers, mut text) = (Buffers::ZERO, Vec::new());
    report(&mut buffers, &mut text).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), include_str!("../expected.txt"));
}
