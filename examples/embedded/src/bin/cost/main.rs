//! What a step of one rule costs on the device: prints the bytes of its stack, its instructions where there is no
//! parameter, and those that each parameter adds. `run cost` builds an image for each rule, and compares their sizes,
//! too.

#![no_std]
#![no_main]

mod clock;
mod stack;

use core::{hint::black_box, mem::take};

use cortex_m::Peripherals;
use gradstep::{
    Average, Error, FloatsMut, Format, NonFinite, Pass, Rule, TelemetrySlot, Tensor, Workers, init_state,
    step,
};
use gradstep_embedded::{Console, device};

use crate::clock::Clock;

const PARAMS: usize = 1024;

/// As many state slices as a rule can have.
const SLOTS: usize = 8;

struct Buffers {
    params: [f32; PARAMS],
    grads: [f32; PARAMS],
    state: [[f32; PARAMS]; SLOTS],
    averaged: u64,
    average: [f32; PARAMS],
    copy: [u16; PARAMS],
}

impl Buffers {
    const ZERO: Self = Self {
        params: [0.0; PARAMS],
        grads: [0.0; PARAMS],
        state: [[0.0; PARAMS]; SLOTS],
        averaged: 0,
        average: [0.0; PARAMS],
        copy: [0; PARAMS],
    };
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut BUFFERS: Buffers = Buffers::ZERO;
    device::run(|debugger| {
        let clock = Peripherals::take().map(|peripherals| Clock::new(peripherals.SYST));
        clock.is_some_and(|clock| measure(BUFFERS, &clock, debugger).is_ok())
    })
}

fn measure(buffers: &mut Buffers, clock: &Clock, console: &mut impl Console) -> Result<(), Error> {
    // Through a pointer that the compiler does not see through, so that nothing else depends on the rule.
    let take_step: fn(u64, usize, &mut Buffers) -> Result<(), Error> = black_box(take_step);
    for (grad, i) in buffers.grads.iter_mut().zip(0u16..) {
        *grad = f32::from(i) / PARAMS as f32 - 0.3;
    }
    take_step(1, PARAMS, buffers)?;
    let (stack, done) = stack::used(|| take_step(1000, PARAMS, buffers));
    done?;
    let fixed = clock.instructions(|| take_step(1001, 0, buffers))?;
    let all = clock.instructions(|| take_step(1001, PARAMS, buffers))?;
    // In tenths. There is no floating point in it, which would hide what a rule brings along of it.
    let each = (10 * all.saturating_sub(fixed) + PARAMS as u32 / 2) / PARAMS as u32;
    for (number, end) in [(stack as u32, b" "), (fixed, b" "), (each / 10, b"."), (each % 10, b"\n")] {
        console.number(number.into());
        console.text(end);
    }
    Ok(())
}

/// A step of the first `n` parameters; the first step initialises the state. The rule is known at compile time, as it
/// mostly is in firmware. There is none in the image that the others are compared with.
fn take_step(number: u64, n: usize, buffers: &mut Buffers) -> Result<(), Error> {
    let rule: Option<_> = include!(concat!(env!("OUT_DIR"), "/rule.rs"));
    rule.map_or(Ok(()), |rule| {
        let mut state = buffers.state.each_mut().map(|slice| &mut slice[..]);
        for (slot, slice) in rule.slots().iter().zip(&mut state) {
            *slice = take(slice).get_mut(..slot.len(n)).unwrap_or_default();
        }
        let state = state.get_mut(..rule.slots().len()).unwrap_or_default();
        let params = buffers.params.get_mut(..n).unwrap_or_default();
        let grads = buffers.grads.get(..n).unwrap_or_default();
        if number == 1 {
            init_state(&rule, params, state)?;
        }
        if cfg!(pass) {
            let average = buffers.average.get_mut(..n).unwrap_or_default();
            let copy = buffers.copy.get_mut(..n).unwrap_or_default();
            let state = state.iter_mut().map(|slice| &mut **slice);
            let tensor = Tensor::new(params, grads, state)?.average(average, &mut buffers.averaged);
            step_in_pass(&rule, number, tensor, copy)
        } else {
            step(&rule, number, params, grads, state)
        }
    })
}

/// In a pass that checks, clips by the global norm, and keeps an average. The compiler does not see which parts these are,
/// so that all are in the image, as they are where a pass is chosen at run time.
fn step_in_pass<R: Rule>(rule: &R, number: u64, tensor: Tensor<'_>, copy: &mut [u16]) -> Result<(), Error> {
    let pass = Pass::new().check(NonFinite::Refuse).clip_global_norm(1.0)?;
    let pass = black_box(pass.average(Average::exponential(0.99)?));
    let slot = TelemetrySlot::default();
    let tensor = if black_box(false) {
        tensor.rows(2).copy_out(FloatsMut::Half(Format::F16, copy)).telemetry(&slot)
    } else {
        tensor
    };
    Workers::serial().step_pass(&pass, rule, number, &mut [tensor]).map(|_| ())
}
