//! What fuzzing has found, each with the value that is right.

use gradstep::{
    AnyRule, Error, FloatsMut, Format, NonFinite, Optimizer, Param, ParamId, Pass, RmsProp, Rule, Saved, Sgd,
    Tensor, Workers, full_slots, new_state, step,
};
use testkit::{bits, sharing, slices};

type State = Vec<(&'static str, Vec<f32>)>;

/// A group of one parameter, whose gradient is the parameter itself.
struct Run {
    optimizer: Optimizer,
    params: [f32; 2],
}

impl Run {
    fn new(rule: AnyRule) -> Result<Self, Error> {
        let mut optimizer = Optimizer::new(rule)?;
        optimizer.register("w", 2)?;
        Ok(Self { optimizer, params: [1.0, -2.0] })
    }

    fn steps(&mut self, count: usize) -> Result<(), Error> {
        let id = self.optimizer.id("w")?;
        for _ in 0..count {
            let (grads, params) = (self.params, &mut self.params);
            self.optimizer.step(&Workers::serial(), &mut [Param::new(id, params, &grads)])?;
        }
        Ok(())
    }

    fn state(&self) -> Result<(u64, State), Error> {
        let saved = self.optimizer.saved("w")?;
        Ok((saved.step, saved.state.map(|(name, values)| (name, values.to_vec())).collect()))
    }

    fn load(&mut self, (step, state): &(u64, State), params: [f32; 2]) -> Result<(), Error> {
        let made_by = &self.optimizer.saved("w")?.made_by.to_string();
        let state: Vec<(&str, &[f32])> = state.iter().map(|(name, values)| (*name, &values[..])).collect();
        self.params = params;
        self.optimizer.load("w", &Saved { made_by, step: *step, state: &state })
    }
}

/// An optimizer that is set back to a checkpoint of its own goes on as a new one does that has loaded it.
#[test]
fn run_set_back_to_an_older_checkpoint_forgets_what_came_after() -> Result<(), Error> {
    for name in AnyRule::NAMES {
        let rule = AnyRule::named(name)?;
        let mut unbroken = Run::new(rule)?;
        unbroken.steps(5)?;
        let (checkpoint, params) = (unbroken.state()?, unbroken.params);
        let mut resumed = Run::new(rule)?;
        resumed.load(&checkpoint, params)?;
        resumed.steps(3)?;

        unbroken.steps(20)?;
        unbroken.load(&checkpoint, params)?;
        unbroken.steps(3)?;
        assert_eq!((unbroken.params, unbroken.state()?), (resumed.params, resumed.state()?), "{name}");
    }
    Ok(())
}

/// Where the second part of a total is below the smallest `f32`, its sign is all that is left of it.
#[test]
fn optimizer_keeps_shared_numbers_as_a_step_leaves_them() -> Result<(), Error> {
    for rule in sharing() {
        let mut optimizer = Optimizer::new(rule)?;
        let (id, mut kept, mut params) = (optimizer.register("w", 1)?, [1.0], [1.0]);
        let mut state = new_state(&rule, &params);
        for t in 1..=300 {
            let grads = [1e-22 * (1.0 + t as f32 / 7.0)];
            optimizer.step(&Workers::serial(), &mut [Param::new(id, &mut kept, &grads)])?;
            step(&rule, t, &mut params, &grads, &mut slices(&mut state))?;
            let found: Vec<_> = optimizer.saved("w")?.state.map(|(_, values)| bits(values)).collect();
            let expected: Vec<_> = state.iter().map(|values| bits(values)).collect();
            assert_eq!(found, expected, "{} at {t}", rule.name());
        }
    }
    Ok(())
}

/// State of step 0 is of no account, not even where a pass skips the parameter that has it.
#[test]
fn skipped_parameter_that_was_set_back_to_step_zero_tells_the_group_nothing() -> Result<(), Error> {
    for rule in sharing() {
        let found = [false, true].map(|set_back| -> Result<_, Error> {
            let mut optimizer = Optimizer::new(rule)?;
            let ids = [optimizer.register("a", 1)?, optimizer.register("b", 1)?];
            if set_back {
                step_both(&mut optimizer, ids, [&mut [1.0], &mut [2.0]], [[0.5], [-3.0]])?;
                for name in ["a", "b"] {
                    let (made_by, state) = state_of(&optimizer, name)?;
                    let state: Vec<_> = state.iter().map(|(slot, values)| (*slot, &values[..])).collect();
                    optimizer.load(name, &Saved { made_by: &made_by, step: 0, state: &state })?;
                }
            }
            let (mut a, mut b) = ([1.0], [2.0]);
            step_both(&mut optimizer, ids, [&mut a, &mut b], [[0.5], [f32::NAN]])?;
            let state = optimizer.saved("a")?.state.map(|(_, values)| values.to_vec());
            Ok((a, b, state.collect::<Vec<_>>()))
        });
        let [new, set_back] = found;
        assert_eq!(new?, set_back?, "{}", rule.name());
    }
    Ok(())
}

/// What made it, and the slices.
fn state_of(optimizer: &Optimizer, name: &str) -> Result<(String, State), Error> {
    let saved = optimizer.saved(name)?;
    let state = saved.state.map(|(slot, values)| (slot, values.to_vec())).collect();
    Ok((saved.made_by.to_string(), state))
}

/// A pass that skips gradients that are not finite.
fn step_both(
    optimizer: &mut Optimizer,
    ids: [ParamId; 2],
    params: [&mut [f32; 1]; 2],
    grads: [[f32; 1]; 2],
) -> Result<(), Error> {
    let pass = Pass::new().check(NonFinite::Skip);
    let mut list = Vec::new();
    for ((id, params), grads) in ids.into_iter().zip(params).zip(&grads) {
        list.push(Param { id, tensor: Tensor::new(&mut params[..], &grads[..], [])? });
    }
    optimizer.step_pass(&Workers::serial(), &pass, &mut list).map(drop)
}

/// Machines differ in the sign of the NaN that an invalid operation gives. It does not decide whose numbers a list goes on from.
#[test]
fn sign_of_a_nan_changes_no_step() -> Result<(), Error> {
    for rule in sharing() {
        let stepped = |nan: f32| -> Result<Vec<bool>, Error> {
            let params = [[1.0], [2.0]];
            let mut state = params.map(|params| new_state(&rule, &params));
            state[0][full_slots(rule.slots())][0] = nan;
            let mut params = params;
            let list = params.iter_mut().zip(&mut state);
            let list = list.map(|(params, state)| Tensor::new(params, &[0.5], slices(state)).unwrap());
            Workers::serial().step_model(&rule, 2, &mut list.collect::<Vec<_>>())?;
            Ok(state.iter().flatten().chain([&params.concat()]).flatten().map(|x| x.is_nan()).collect())
        };
        assert_eq!(stepped(f32::NAN)?, stepped(-f32::NAN)?, "{}", rule.name());
    }
    Ok(())
}

/// A step beyond what its format holds makes a parameter infinite. The norm of that row is infinite, too, and scaling by it made
/// NaN of the infinity and 0 of all its neighbours.
#[test]
fn row_with_an_infinity_stays_as_it_is() -> Result<(), Error> {
    let (pass, rule, workers) = (Pass::new().max_norm(0.5)?, Sgd::torch().lr(2.0)?, Workers::serial());
    let mut halves = [0x3400, 0x3000];
    let params = FloatsMut::Half(Format::F16, &mut halves);
    let mut model = [Tensor::new(params, &[-1e5_f32, 0.0], [])?.rows(1)];
    assert_eq!(workers.step_pass(&pass, &rule, 1, &mut model)?.stepped, 1);
    assert_eq!(halves, [0x7c00, 0x3000]);

    let mut params = [0.25_f32, 0.125];
    let mut model = [Tensor::new(&mut params, &[-3e38_f32, 0.0], [])?.rows(1)];
    assert_eq!(workers.step_pass(&pass, &rule, 1, &mut model)?.stepped, 1);
    assert_eq!(params, [f32::INFINITY, 0.125]);
    Ok(())
}

/// The centered variance of the first gradient is 0, so that lr is divided by eps alone.
#[test]
fn centered_rmsprop_refuses_an_eps_far_below_lr() -> Result<(), Error> {
    let rule = RmsProp::optax().centered(true)?.bias_correction(true)?;
    for (lr, eps, fits) in [(9.1e7, 1e-37, false), (1e9, 1e-8, true), (0.0, 0.0, false), (1e-3, 1e-8, true)] {
        let rule = rule.lr(lr)?.eps(eps)?;
        let mut params = [1.0];
        let mut state = new_state(&rule, &params);
        let taken = step(&rule, 1, &mut params, &[1e30], &mut slices(&mut state));
        assert_eq!(taken.is_ok(), fits, "{lr} {eps}: {taken:?}");
        assert!(params[0].is_finite(), "{lr} {eps}: {params:?}");
    }
    Ok(())
}
