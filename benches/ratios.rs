//! What sharing and lists cost, as ratios: the two sides of a pair take turns in one process, and the median of the
//! ratios is given with its spread. `cargo bench --bench ratios`.

mod pairs;

use std::cell::RefCell;

use gradstep::{AdamW, AnyRule, Join, Tensor, Workers};
use pairs::{pair, report};
use testkit::{Buffers, models, tensors};

fn main() {
    pairs::header("AdamW; time of the first over the second");
    lists_against_flat();
    parallel_against_serial();
}

fn rule() -> AnyRule {
    AnyRule::AdamW(AdamW::torch())
}

fn lists_against_flat() {
    for (list, shapes) in [
        ("500 tensors of 64", models::tiny()),
        ("40 layers of 256x256 and 256", models::perceptron()),
        ("resnet50", models::resnet50()),
        ("gpt2 124 M", models::gpt2()),
    ] {
        let flat = [shapes.iter().sum()];
        lists_on(&format!("{list} / one flat tensor, 1 thread"), &shapes, &flat, &Workers::serial());
        lists_on(&format!("{list} / one flat tensor, all threads"), &shapes, &flat, &Workers::rayon());
    }
}

fn lists_on<J: Join>(what: &str, shapes: &[usize], flat: &[usize], workers: &Workers<J>) {
    let (mut many, mut one) = (models::waves(&rule(), shapes), models::waves(&rule(), flat));
    let (mut many, mut one) = (tensors(&mut many), tensors(&mut one));
    let step = |tensors: &mut [Tensor<'_>]| workers.step_model(&rule(), 10, tensors).expect("valid slices");
    report(what, pair(|| step(&mut many), || step(&mut one)));
}

/// At every size, with the default cut-off: a parallel call must not be much slower than a serial one. Both step the same
/// tensor: where in memory another one lies makes more of a difference than what is measured.
fn parallel_against_serial() {
    for exponent in 10..=24 {
        let elements = 1 << exponent;
        let mut buffers = Buffers::waves(&rule(), elements);
        let tensors = RefCell::new([buffers.tensor()]);
        let pair = pair(
            || Workers::rayon().step_model(&rule(), 2, &mut *tensors.borrow_mut()).expect("valid slices"),
            || Workers::serial().step_model(&rule(), 2, &mut *tensors.borrow_mut()).expect("valid slices"),
        );
        report(&format!("parallel / serial, one tensor of {elements}"), pair);
    }
}
