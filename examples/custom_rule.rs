//! A rule of your own: Signum, sign descent with momentum (Bernstein et al., 2018).
//!
//! ```text
//! exp_avg = beta*exp_avg + (1-beta)*g
//! p = p - lr*sign(exp_avg)
//! ```
//!
//! It takes two types. The *rule* holds the hyper-parameters as the user knows them, in `f64`; the *kernel* holds
//! what one step needs of them, in `f32`, and has the arithmetic. You write the arithmetic once, for one element;
//! every instruction set, the threads and the odd elements at the end of a slice come with it. This program runs the
//! rule on all of them and compares the bits.
//!
//! ```text
//! cargo run --release --example custom_rule
//! ```

use std::{error::Error, iter::zip};

use gradstep::{Backend, Change, Kernel, KernelVisitor, Lane, Role, Rule, Slot, Workers, init_state};

/// The rule.
#[derive(Clone, Copy)]
struct Signum {
    lr: f64,
    beta: f64,
}

impl Rule for Signum {
    fn name(&self) -> &'static str {
        "signum"
    }

    /// One slot for each slice of state, and what its numbers mean. A slice starts from zeros unless its slot says otherwise.
    fn slots(&self) -> &'static [Slot] {
        const { &[Slot::full("exp_avg", Role::Momentum)] }
    }

    /// Called once a step, so whatever is the same for all elements is computed here. A power of beta or a bias
    /// correction would come from the number of the step, which Signum does not need.
    fn with_kernel<V: KernelVisitor>(&self, _step: u64, _: &[f64], visitor: V) -> V::Output {
        // Subtracted before it is rounded: in `f32`, 1 - 0.9 is 3 ulps off.
        visitor.visit(Signed { lr: self.lr as f32, rest: (1.0 - self.beta) as f32 })
    }
}

/// The kernel.
#[derive(Clone, Copy)]
struct Signed {
    lr: f32,
    rest: f32,
}

/// The 1 is the number of state slices, and must be the number of slots above.
impl Kernel<1> for Signed {
    /// From an element's parameter, gradient and state to what is taken off the parameter, and to the new state.
    /// `lerp` is a moving average that stays accurate where beta is near 1.
    // Without the attribute this may become a call, and a called function is not compiled for AVX2 or AVX-512.
    #[inline(always)]
    fn update<L: Lane>(self, _p: L, g: L, [exp_avg]: [L; 1]) -> (Change<L>, [L; 1]) {
        let exp_avg = exp_avg.lerp(g, self.rest);
        (Change::By(exp_avg.sign() * self.lr), [exp_avg])
    }
}

/// Large enough to be shared among threads, and odd, so that the slices end in the middle of a register.
const LEN: usize = 1_000_003;
const STEPS: u64 = 100;
const RULE: Signum = Signum { lr: 0.01, beta: 0.9 };

/// Parameters and state at the end of one run.
struct Run {
    params: Vec<f32>,
    exp_avg: Vec<f32>,
}

impl Run {
    /// All steps on one backend, on the calling thread or on all threads.
    fn on(backend: Backend, threads: Threads, target: &[f32]) -> Result<Self, gradstep::Error> {
        let (mut params, mut grads, mut exp_avg) = (vec![0.0; LEN], vec![0.0; LEN], vec![0.0; LEN]);
        init_state(&RULE, &params, &mut [&mut exp_avg])?;
        let workers = Workers::rayon().backend(backend);
        for step in 1..=STEPS {
            for (g, (p, t)) in zip(&mut grads, zip(&params, target)) {
                *g = p - t;
            }
            let state: &mut [&mut [f32]] = &mut [&mut exp_avg];
            match threads {
                Threads::One => backend.step(&RULE, step, &mut params, &grads, state)?,
                Threads::All => workers.step(&RULE, step, &mut params, &grads, state)?,
            }
        }
        Ok(Self { params, exp_avg })
    }

    fn bits(&self) -> impl Iterator<Item = u32> {
        self.params.iter().chain(&self.exp_avg).map(|x| x.to_bits())
    }

    /// The hash FNV-1a of all bits.
    fn checksum(&self) -> u64 {
        let bytes = self.bits().flat_map(u32::to_le_bytes);
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

#[derive(Clone, Copy)]
enum Threads {
    One,
    All,
}

impl Threads {
    const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
        }
    }
}

/// Half the mean squared distance; its gradient, times the number of elements, is `params - target`.
fn loss(params: &[f32], target: &[f32]) -> f64 {
    let squares = zip(params, target).map(|(&p, &t)| f64::from(p - t).powi(2));
    squares.sum::<f64>() / (2.0 * LEN as f64)
}

/// Numbers from -1 to 1 that look irregular enough.
fn target() -> Vec<f32> {
    (0..LEN).map(|i| (i * 7919 % 2001) as f32 / 1000.0 - 1.0).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let target = target();
    let expected = Run::on(Backend::SCALAR, Threads::One, &target)?;
    println!("{}, {LEN} parameters, {STEPS} steps", RULE.name());
    println!("{:8}{:14}{:>5}  {:8}checksum", "backend", "instructions", "lanes", "threads");
    for backend in Backend::available() {
        for threads in [Threads::One, Threads::All] {
            let run = Run::on(backend, threads, &target)?;
            report(backend, threads, &run);
            if !run.bits().eq(expected.bits()) {
                return Err(format!("{backend} gives other bits than scalar").into());
            }
        }
    }
    learned(&expected, &target)
}

fn report(backend: Backend, threads: Threads, run: &Run) {
    let (name, instructions, lanes) = (backend.name(), backend.instructions(), backend.lanes());
    println!("{name:8}{instructions:14}{lanes:>5}  {:8}{:016x}", threads.name(), run.checksum());
}

/// Equal bits could be equally wrong.
fn learned(run: &Run, target: &[f32]) -> Result<(), Box<dyn Error>> {
    let (before, after) = (loss(&vec![0.0; LEN], target), loss(&run.params, target));
    println!("loss {before:.4} -> {after:.4}");
    if after < before / 100.0 { Ok(()) } else { Err("the loss has not fallen".into()) }
}
