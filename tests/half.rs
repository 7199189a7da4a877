//! 16-bit slices may have the types of the crate `half`. `cargo test --features half` has this test.

use gradstep::{Error, Pass, Sgd, Tensor, Workers};
use half::{bf16, f16};

#[test]
fn parameters_gradients_and_copies_may_be_of_the_types_of_half() -> Result<(), Error> {
    let (mut params, grads, mut copy) = ([bf16::ONE], [f16::from_f32(-0.5)], [f16::ZERO]);
    let tensor = Tensor::new(&mut params[..], &grads[..], [])?.copy_out(&mut copy[..]);
    let _ = Workers::serial().step_pass(&Pass::new(), &Sgd::torch().lr(1.0)?, 1, &mut [tensor])?;
    assert_eq!((params, copy), ([bf16::from_f32(1.5)], [f16::from_f32(1.5)]));
    Ok(())
}

#[test]
fn params_and_gradients_may_have_the_two_formats_the_other_way_round() -> Result<(), Error> {
    let (mut params, mut grads, mut copy) = ([f16::ONE], [bf16::from_f32(-0.5)], [bf16::ZERO]);
    let tensor = Tensor::new(&mut params[..], &mut grads[..], [])?.copy_out(&mut copy[..]);
    let pass = Pass::new().zero_grads();
    let _ = Workers::serial().step_pass(&pass, &Sgd::torch().lr(1.0)?, 1, &mut [tensor])?;
    assert_eq!((params, grads, copy), ([f16::from_f32(1.5)], [bf16::ZERO], [bf16::from_f32(1.5)]));
    Ok(())
}
