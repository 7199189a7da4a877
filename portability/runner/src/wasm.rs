//! As a wasm module without a system interface: prints through a function of the host, see `wasm.mjs`.

use core::fmt;

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Reads the `len` bytes from `text` on before it returns.
    fn print(text: *const u8, len: usize);
}

struct Host;

impl fmt::Write for Host {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: these are the bytes of `text`, which lives until `print` has returned.
        unsafe { print(text.as_ptr(), text.len()) };
        Ok(())
    }
}

/// Whether all rules agree.
// SAFETY: this is the module's only symbol of that name.
#[unsafe(no_mangle)]
extern "C" fn _start() -> bool {
    crate::all_agree(&mut Host)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
