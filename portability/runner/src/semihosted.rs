//! On bare metal: prints through the emulator or the debugger, and ends with its exit code.

use core::fmt;

use semihosting::{print, process::exit};

struct Host;

impl fmt::Write for Host {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        print!("{text}");
        Ok(())
    }
}

/// The emulator of a process has prepared the stack.
// SAFETY: this is the program's only symbol of that name.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    exit(i32::from(!crate::all_agree(&mut Host)))
}
