//! What each operation of a lane means, over all pairs of awkward values, on every backend.

use gradstep::{Backend, Change, Kernel, KernelVisitor, Lane, Role, Rule, Slot};
use testkit::{AWKWARD, bits_of, slices};

/// A kernel has at most eight state slices, so the operations are shared out over two.
const OPERATIONS: [&str; 16] = [
    "a + b", "a - b", "a * b", "a / b", "a + 3", "a - 3", "a * 3", "a / 3", "-a", "sqrt", "abs", "max",
    "min", "sign", "lerp", "a",
];

/// Writes every operation's result into a state slice: `a` is the parameter, `b` the gradient.
#[derive(Clone, Copy)]
struct Operations {
    second_half: bool,
}

impl Kernel<8> for Operations {
    #[inline(always)]
    fn update<L: Lane>(self, a: L, b: L, _: [L; 8]) -> (Change<L>, [L; 8]) {
        let first = [a + b, a - b, a * b, a / b, a + 3.0, a - 3.0, a * 3.0, a / 3.0];
        let second = [-a, a.sqrt(), a.abs(), a.max(b), a.min(b), a.sign(), a.lerp(b, 0.25), a];
        let results = if self.second_half { second } else { first };
        (Change::To(L::select(a.le(b), a.splat(1.0), a.splat(2.0))), results)
    }
}

impl Rule for Operations {
    fn name(&self) -> &'static str {
        "operations"
    }

    fn slots(&self) -> &'static [Slot] {
        const RESULTS: &[Slot] = &[Slot::full("result", Role::Mean); 8];
        RESULTS
    }

    fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
        visitor.visit(*self)
    }
}

/// The documentation of `Lane`, written out.
#[allow(clippy::neg_multiply, reason = "a negation that is not the one under test")]
fn meaning(a: f32, b: f32) -> [f32; 16] {
    let max = if a < b { b } else { a };
    let min = if b < a { b } else { a };
    let sign = if a > 0.0 {
        1.0
    } else if a < 0.0 {
        -1.0
    } else {
        0.0
    };
    let lerp = (a - a * 0.25) + b * 0.25;
    let negative = f32::from_bits(a.to_bits() ^ (1 << 31));
    let abs = f32::from_bits(a.to_bits() & !(1 << 31));
    [
        a + b,
        a - b,
        a * b,
        a / b,
        a + 3.0,
        a - 3.0,
        a * 3.0,
        a / 3.0,
        negative,
        a.sqrt(),
        abs,
        max,
        min,
        sign,
        lerp,
        a,
    ]
}

#[test]
fn every_operation_on_every_backend() {
    let pairs = || AWKWARD.iter().flat_map(|&a| AWKWARD.iter().map(move |&b| (a, b)));
    let (a, b): (Vec<f32>, Vec<f32>) = pairs().unzip();
    for backend in Backend::available() {
        for (half, operations) in OPERATIONS.chunks(8).enumerate() {
            let mut params = a.clone();
            let mut results = vec![vec![0.0; a.len()]; 8];
            let mut slices = slices(&mut results);
            backend.step(&Operations { second_half: half == 1 }, 1, &mut params, &b, &mut slices).unwrap();
            for (i, (a, b)) in pairs().enumerate() {
                for ((found, expected), operation) in
                    results.iter().zip(&meaning(a, b)[8 * half..]).zip(operations)
                {
                    assert!(
                        bits_of(found[i]) == bits_of(*expected),
                        "{backend}: {operation} of {a:e} and {b:e} is {}",
                        found[i]
                    );
                }
                // A comparison with NaN is false, and so selects the second.
                assert_eq!(params[i], if a <= b { 1.0 } else { 2.0 }, "{backend}: {a:e} <= {b:e}");
            }
        }
    }
}

/// Across all binades, and where it has no meaning: within 2 units in the last place of the true root.
#[test]
fn the_cube_root() {
    #[derive(Clone, Copy)]
    struct CubeRoot;

    impl Kernel<0> for CubeRoot {
        #[inline(always)]
        fn update<L: Lane>(self, x: L, _: L, []: [L; 0]) -> (Change<L>, [L; 0]) {
            (Change::To(x.cbrt()), [])
        }
    }

    impl Rule for CubeRoot {
        fn name(&self) -> &'static str {
            "cube root"
        }

        fn slots(&self) -> &'static [Slot] {
            &[]
        }

        fn with_kernel<V: KernelVisitor>(&self, _: u64, _: &[f64], visitor: V) -> V::Output {
            visitor.visit(*self)
        }
    }

    let inputs: Vec<f32> =
        (0..0x7f80).map(|high| f32::from_bits((high << 16) | ((high * 7) & 0xffff))).collect();
    for backend in Backend::available() {
        let mut roots = inputs.clone();
        backend.step(&CubeRoot, 1, &mut roots, &inputs, &mut []).unwrap();
        for (x, root) in inputs.iter().zip(&roots) {
            let truth = f64::from(*x).cbrt();
            let error = (f64::from(*root) - truth).abs();
            assert!(error <= 2.0 * truth * f64::from(f32::EPSILON), "{backend}: {root:e} for {truth:e}");
        }
        let mut odd = [-1.0, -0.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
        backend.step(&CubeRoot, 1, &mut odd, &[0.0; 5], &mut []).unwrap();
        assert_eq!(odd[..3], [0.0; 3], "{backend}");
        assert!(odd[3].is_nan() && odd[4].is_nan(), "{backend}");
    }
}
