//! What a pass refuses, what the refusal says, and that nothing has changed then.

use gradstep::{
    Adam, Average, Error, GradSums, Lamb, NonFinite, Optimizer, Param, Pass, Rule, Sgd, Tensor, Workers,
};

use crate::model::{Numbers, Owned, Padded, assert_same, with_tensors};

/// Breaks the second of two tensors. Every way to take the step must say the same and change nothing.
fn refusal(pass: &Pass, rule: &impl Rule, change: impl FnOnce(&mut Owned)) -> String {
    let tensor = Owned::plain(rule, &[1.0; 6], &[0.5; 6]);
    let mut model = [tensor.clone(), tensor];
    change(&mut model[1]);
    let before = model.clone();
    let refused = with_tensors(&mut model, |mut tensors| {
        let workers = Workers::serial();
        let refused = workers.step_pass(pass, rule, 1, &mut tensors).unwrap_err();
        assert_eq!(workers.measure_pass(pass, rule, 1, &mut tensors), Err(refused));
        assert_eq!(workers.finish_pass(pass, rule, 1, &mut tensors, &[]), Err(refused));
        refused
    });
    assert_same(&model, &before, || refused.to_string());
    refused.to_string()
}

fn zeros<T: Copy + From<u16> + PartialEq>(len: usize) -> Padded<T> {
    Padded::new(&vec![T::from(0); len], 0)
}

#[test]
fn every_slice_is_as_long_as_the_parameters() {
    let pass = Pass::new().average(Average::mean());
    let adam = Adam::torch();
    let five = || Numbers::new(None, &[0.0; 5]);
    let refused = |change: &dyn Fn(&mut Owned)| refusal(&pass, &adam, change);
    let of = |slice: &str| format!("tensor \"#1\": {slice} has 5 elements where there are 6 parameters");
    assert_eq!(refused(&|tensor| tensor.grads = five()), of("grads"));
    assert_eq!(refused(&|tensor| tensor.more = vec![five()]), of("more_grads"));
    assert_eq!(refused(&|tensor| tensor.average = Some(zeros(5))), of("average"));
    assert_eq!(refused(&|tensor| tensor.copy = Some(five())), of("copy_out"));
    assert_eq!(refused(&|tensor| tensor.state[0] = zeros(5)), of("exp_avg"));
    assert_eq!(refused(&|tensor| tensor.state[1] = zeros(5)), of("exp_avg_sq"));
    assert_eq!(
        refusal(&pass, &Lamb::optax(), |tensor| tensor.state[2] = zeros(6)),
        "tensor \"#1\": trust_ratio has 6 elements where there are 1 parameters"
    );
}

#[test]
fn the_state_is_that_of_the_rule() {
    let refused = refusal(&Pass::new(), &Adam::torch(), |tensor| tensor.state.truncate(1));
    assert_eq!(refused, "adam needs 2 state slices (exp_avg, exp_avg_sq) and was given 1");
    let mut state = [[0.0; 1]; 9];
    let state = state.iter_mut().map(|slice| &mut slice[..]);
    let refused = Tensor::new(&mut [0.0][..], &[0.0][..], state).unwrap_err();
    assert_eq!(refused.to_string(), "9 state slices were given, and a tensor holds at most 8");
}

#[test]
fn rows_divide_the_parameters() {
    let refused = |rows| refusal(&Pass::new(), &Sgd::torch(), |tensor| tensor.rows = Some(rows));
    assert_eq!(refused(0), "tensor \"#1\" has 6 elements, which 0 rows do not divide evenly");
    assert_eq!(refused(4), "tensor \"#1\" has 6 elements, which 4 rows do not divide evenly");
    assert_eq!(refused(7), "tensor \"#1\" has 6 elements, which 7 rows do not divide evenly");
}

#[test]
fn shards_begin_at_blocks_and_at_rows() {
    let refused = |offset, rows| {
        refusal(&Pass::new(), &Sgd::torch(), |tensor| (tensor.offset, tensor.rows) = (offset, rows))
    };
    assert_eq!(refused(100, None), "the shard of \"#1\" begins at 100, which is not a multiple of 4096");
    assert_eq!(refused(4097, Some(2)), "the shard of \"#1\" begins at 4097, which is not a multiple of 4096");
    assert_eq!(refused(8192, Some(2)), "the shard of \"#1\" begins at 8192, which is not a multiple of 3");
}

#[test]
fn zeroed_gradients_can_be_written() {
    let pass = Pass::new().zero_grads();
    let says =
        "tensor \"#1\": the pass zeroes gradients, and these, or some of them, were given as read-only";
    assert_eq!(refusal(&pass, &Sgd::torch(), |tensor| tensor.read_only = true), says);
    assert_eq!(refusal(&pass, &Sgd::torch(), |tensor| tensor.more = vec![tensor.grads.clone()]), says);
}

#[test]
fn an_average_is_kept_somehow() {
    let refused = refusal(&Pass::new(), &Sgd::torch(), |tensor| tensor.average = Some(zeros(6)));
    assert_eq!(refused, "tensor \"#1\": it has an average, and the pass does not say how to keep it");
}

#[test]
fn steps_count_from_one() {
    let (pass, rule, workers) = (Pass::new(), Sgd::torch(), Workers::serial());
    assert_eq!(workers.step_pass(&pass, &rule, 0, &mut []), Err(Error::StepZero));
    assert_eq!(workers.measure_pass(&pass, &rule, 0, &mut []), Err(Error::StepZero));
    assert_eq!(workers.finish_pass(&pass, &rule, 0, &mut [], &[]), Err(Error::StepZero));
}

/// What only the second half refuses.
fn shard_refusal(pass: &Pass, rule: &impl Rule) -> String {
    let mut model = [Owned::plain(rule, &[1.0; 6], &[0.5; 6])];
    let before = model.clone();
    let refused = with_tensors(&mut model, |mut tensors| {
        let workers = Workers::serial();
        workers.measure_pass(pass, rule, 1, &mut tensors).unwrap();
        workers.finish_pass(pass, rule, 1, &mut tensors, &[GradSums::default()]).unwrap_err()
    });
    assert_same(&model, &before, || refused.to_string());
    refused.to_string()
}

#[test]
fn shards_do_not_know_the_whole_tensor() {
    assert_eq!(
        shard_refusal(&Pass::new(), &Lamb::optax()),
        "tensor \"#0\": the rule's own norms of a whole tensor cannot be had from shards"
    );
    assert_eq!(
        shard_refusal(&Pass::new().clip_adaptive(0.01, 1e-3).unwrap(), &Sgd::torch()),
        "tensor \"#0\": adaptive clipping of shards needs rows"
    );
}

#[test]
fn numbers_outside_their_domain() {
    type Setting = (&'static str, fn(Pass, f64) -> Result<Pass, Error>);
    let above_zero: [Setting; 7] = [
        ("loss_scale", Pass::loss_scale),
        ("clip_value", Pass::clip_value),
        ("clip_tensor_norm", Pass::clip_tensor_norm),
        ("clip_global_norm", Pass::clip_global_norm),
        ("max_norm", Pass::max_norm),
        ("clip_adaptive ratio", |pass, ratio| pass.clip_adaptive(ratio, 1.0)),
        ("clip_adaptive eps", |pass, eps| pass.clip_adaptive(1.0, eps)),
    ];
    for (name, set) in above_zero {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let says = format!("pass: {name} must be finite and above 0, and is {value}");
            assert_eq!(set(Pass::new(), value).unwrap_err().to_string(), says);
        }
        assert!(set(Pass::new(), 0.5).is_ok());
    }
    for value in [-1e-300, f64::NAN, f64::INFINITY] {
        let says = format!("pass: clip_eps must be finite and 0 or above, and is {value}");
        assert_eq!(Pass::new().clip_eps(value).unwrap_err().to_string(), says);
    }
    for value in [1.0, -0.1, f64::NAN] {
        let says = format!("pass: average decay must be 0 or above and below 1, and is {value}");
        assert_eq!(Average::exponential(value).unwrap_err().to_string(), says);
    }
}

#[test]
fn a_loss_scale_has_an_inverse() {
    let refused = |scale| Pass::new().loss_scale(scale).unwrap_err().to_string();
    assert_eq!(refused(1e300), "pass: 1/loss_scale must be finite and above 0, and 1e-300 is 0 in f32");
    assert_eq!(refused(1e-300), "pass: loss_scale must be finite and above 0, and 1e-300 is 0 in f32");
}

#[test]
fn bounds_leave_room() {
    let refused = |low, high| Pass::new().bounds(low, high).unwrap_err().to_string();
    assert_eq!(refused(1.0, 0.5), "there is nothing between the bounds 1 and 0.5");
    assert_eq!(refused(f32::NAN, 0.5), "there is nothing between the bounds NaN and 0.5");
    assert_eq!(refused(0.0, f32::NAN), "there is nothing between the bounds 0 and NaN");
    assert!(Pass::new().bounds(0.5, 0.5).is_ok());
    assert!(Pass::new().bounds(f32::NEG_INFINITY, f32::INFINITY).is_ok());
}

/// An optimizer with parameters `a`, of 6 elements, and `b`, of 5; the pass is given what `change` makes of `b`.
fn optimizer_refusal(pass: &Pass, change: impl FnOnce(&mut Owned)) -> String {
    let mut optimizer = Optimizer::new(Adam::torch()).unwrap();
    let ids = [optimizer.register("a", 6).unwrap(), optimizer.register("b", 5).unwrap()];
    let mut model = [6, 5].map(|len| Owned::plain(&Sgd::torch(), &vec![1.0; len], &vec![0.5; len]));
    change(&mut model[1]);
    let before = model.clone();
    let refused = with_tensors(&mut model, |tensors| {
        let mut params: Vec<_> = ids.iter().zip(tensors).map(|(&id, tensor)| Param { id, tensor }).collect();
        optimizer.step_pass(&Workers::serial(), pass, &mut params).unwrap_err()
    });
    assert_same(&model, &before, || refused.to_string());
    for name in ["a", "b"] {
        let mut saved = optimizer.saved(name).unwrap();
        assert_eq!(saved.step, 0);
        assert!(saved.state.all(|(_, values)| values.iter().all(|x| *x == 0.0)));
    }
    refused.to_string()
}

#[test]
fn an_optimizer_names_the_parameter() {
    let pass = Pass::new();
    assert_eq!(
        optimizer_refusal(&pass, |b| b.state = vec![zeros(5), zeros(5)]),
        "tensor \"b\": it was given state slices, and the optimizer keeps the state: give it none"
    );
    assert_eq!(
        optimizer_refusal(&pass, |b| *b = Owned::plain(&Sgd::torch(), &[1.0; 4], &[0.5; 4])),
        "tensor \"b\": params has 4 elements where there are 5 parameters"
    );
    assert_eq!(
        optimizer_refusal(&pass, |b| b.grads = Numbers::new(None, &[0.0; 7])),
        "tensor \"b\": grads has 7 elements where there are 5 parameters"
    );
    assert_eq!(
        optimizer_refusal(&pass, |b| b.rows = Some(2)),
        "tensor \"b\" has 5 elements, which 2 rows do not divide evenly"
    );
    assert_eq!(
        optimizer_refusal(&pass, |b| b.average = Some(zeros(5))),
        "tensor \"b\": it has an average, and the pass does not say how to keep it"
    );
    assert_eq!(
        optimizer_refusal(&pass.zero_grads(), |b| b.read_only = true),
        "tensor \"b\": the pass zeroes gradients, and these, or some of them, were given as read-only"
    );
}

#[test]
fn an_optimizer_knows_its_parameters() {
    let mut optimizer = Optimizer::new(Sgd::torch()).unwrap();
    let mut other = Optimizer::new(Sgd::torch()).unwrap();
    let id = optimizer.register("a", 1).unwrap();
    other.register("x", 1).unwrap();
    let unknown = other.register("y", 1).unwrap();
    let mut refused = |ids: [_; 2]| {
        let (mut params, grads) = ([[1.0], [2.0]], [1.0]);
        let [a, b] = &mut params;
        let mut list = [(ids[0], a), (ids[1], b)]
            .map(|(id, p)| Param { id, tensor: Tensor::new(&mut p[..], &grads[..], []).unwrap() });
        let refused = optimizer.step_pass(&Workers::serial(), &Pass::new(), &mut list).unwrap_err();
        assert_eq!(params, [[1.0], [2.0]]);
        refused.to_string()
    };
    assert_eq!(refused([id, id]), "parameter \"a\" was passed twice in one step");
    assert_eq!(refused([id, unknown]), "parameter #1 was registered with another optimizer");
}

#[test]
fn empty_tensors_and_models_are_fine() {
    let pass = Pass::new().check(NonFinite::Refuse).clip_global_norm(1.0).unwrap().centralize();
    let pass = pass.max_norm(1.0).unwrap().average(Average::mean()).zero_grads();
    for pass in [pass, pass.clip_adaptive(0.1, 0.1).unwrap(), Pass::new()] {
        for tensors in 0..3 {
            let mut empty = Owned::plain(&Adam::torch(), &[], &[]);
            empty.rows = (tensors == 2).then_some(3);
            let mut model = vec![empty; tensors];
            let report = with_tensors(&mut model, |mut tensors| {
                Workers::rayon().serial_below(0).step_pass(&pass, &Adam::torch(), 1, &mut tensors).unwrap()
            });
            assert_eq!((report.refused, report.stepped, report.elements), (false, tensors, 0));
            assert!(report.grad_norm.is_none_or(|norm| norm == 0.0));
        }
    }
    let report = Optimizer::new(Sgd::torch()).unwrap().step_pass(&Workers::serial(), &pass, &mut []).unwrap();
    assert_eq!((report.stepped, report.skipped), (0, 0));
}
