//! Text and numbers, without `core::fmt`.

/// Where the report goes.
pub trait Console {
    fn text(&mut self, text: &[u8]);

    fn number(&mut self, n: u64) {
        let digits: [u8; 20] = digits(n, 10);
        let zeros = digits.iter().take(digits.len() - 1).take_while(|digit| **digit == b'0').count();
        self.text(digits.get(zeros..).unwrap_or_default());
    }

    /// With four decimals. For numbers of 0 or above.
    fn decimal(&mut self, x: f64) {
        let rounded = (x * 1e4 + 0.5) as u64;
        self.number(rounded / 10_000);
        self.text(b".");
        self.text(&digits::<4>(rounded % 10_000, 10));
    }

    fn hex(&mut self, n: u64) {
        self.text(&digits::<16>(n, 16));
    }
}

#[cfg(not(target_os = "none"))]
impl Console for std::vec::Vec<u8> {
    fn text(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }
}

/// The last `N` digits.
fn digits<const N: usize>(mut n: u64, base: u64) -> [u8; N] {
    let mut digits = [0; N];
    for digit in digits.iter_mut().rev() {
        *digit = match (n % base) as u8 {
            decimal @ 0..10 => b'0' + decimal,
            above => b'a' - 10 + above,
        };
        n /= base;
    }
    digits
}
