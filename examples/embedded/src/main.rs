//! Prints the report of a training run: on the device through its debugger, on a host on the standard output.

#![cfg_attr(target_os = "none", no_std, no_main)]

use gradstep_embedded::{Buffers, report};

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    static mut BUFFERS: Buffers = Buffers::ZERO;
    gradstep_embedded::device::run(|debugger| report(BUFFERS, debugger).is_ok())
}

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut buffers, mut text) = (Buffers::ZERO, Vec::new());
    report(&mut buffers, &mut text)?;
    Ok(std::io::Write::write_all(&mut std::io::stdout(), &text)?)
}
