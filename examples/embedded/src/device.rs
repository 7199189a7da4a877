//! The microcontroller's side: a debugger that prints, and the end of the program.

use cortex_m_semihosting::{
    debug::{EXIT_FAILURE, EXIT_SUCCESS, exit},
    hio::{HostStream, hstdout},
};

use crate::Console;

/// Prints through the debugger, or QEMU.
pub struct Debugger(HostStream);

impl Console for Debugger {
    fn text(&mut self, text: &[u8]) {
        // Where no one listens there is no one to tell.
        let _ = self.0.write_all(text);
    }
}

/// Does the program's work, which says whether it succeeded, and ends the program.
pub fn run(work: impl FnOnce(&mut Debugger) -> bool) -> ! {
    let succeeded = hstdout().is_ok_and(|stream| work(&mut Debugger(stream)));
    exit(if succeeded { EXIT_SUCCESS } else { EXIT_FAILURE });
    halt()
}

/// Never called, as nothing here panics: the linker leaves it out.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(EXIT_FAILURE);
    halt()
}

fn halt() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
