//! A run carried over from one framework's convention to another's.

use crate::{
    error::Error,
    numbers::math::sqrt,
    rule::{
        common::{Common, Decay, L1},
        options::{OptionType, Options},
        rule::Rule,
        values::Value,
    },
    rules::parts::{
        moments::{AdamEps, correction},
        velocity::Velocity,
    },
    tensor::state::Layout,
};

/// Carries a run over to another convention: rewrites the state of `from` in place, and returns the rule
/// under which the run goes on as it would have gone on under `from`.
///
/// - `from` is the rule so far, with the `lr` of the next step.
/// - `to` has the wanted convention, as a preset has it.
/// - `step` is the number of the next step.
/// - `state` has one slice for each of [`from.slots()`](Rule::slots), in that order.
///
/// The rule that comes back is `to` with the numbers that make its next step that of `from`:
///
/// ```text
/// velocity    lr becomes what leaves r the same:
///             r = lr*(1-dampening) for sum, lr*(1-momentum) for average, lr for the others
///             momentum_buffer = momentum_buffer * a(from)/a(to):
///             a = lr for sum and average, 1 for lr-inside, -1 for lr-inside-negative
/// eps_place   eps(hat) = eps(after-correction) * sqrt(1-beta2^step); the state is the same
/// decay       weight_decay becomes what leaves d the same:
///             d = lr*weight_decay for decoupled and decoupled-after, weight_decay for fixed and fixed-after,
///             lr*weight_decay/(1 + lr*weight_decay) for proximal
///             for sgd without cautious, coupled is the same as decoupled
/// l1          lr*l1 stays the same for the proximal form, which has no other
/// ```
///
/// Before this, `lr`, `weight_decay`, `l1`, `eps`, `eps_root` and `initial_accumulator_value` are taken over
/// from `from`, whatever `to` says. `velocity`, `dampening`, `eps_place` and `decay` are those of `to`. All
/// other options must be equal: set those of `to` that are not.
///
/// How long it is the same run: where the velocity alone differs, for as long as `lr` stays (a change of it
/// acts at once outside the velocity, late inside). So it is where decay does. Where `eps_place` differs, for
/// this one step; later on the returned `eps` is too large or too small by a factor that stays between
/// `sqrt(1-beta2^step)` and 1, and where that matters, a call before every step with the same `from` and `to`
/// makes every step the same.
///
/// A model of many tensors takes a call for each.
///
/// # What the frameworks call the state
/// | rule | here, and in PyTorch unless said | Keras | optax |
/// |---|---|---|---|
/// | SGD with momentum | `momentum_buffer` | `momentum` | `trace` |
/// | AdaGrad | `sum` | `accumulator` | `sum_of_squares` |
/// | RMSProp | `square_avg`, `momentum_buffer`, `grad_avg` | `velocity`, `momentum`, `average_gradient` | `nu`, `trace`, `mu` |
/// | Adadelta | `square_avg`, `acc_delta` | `accumulated_grad`, `accumulated_delta_var` | `e_g`, `e_x` |
/// | Adam, AdamW | `exp_avg`, `exp_avg_sq`, `max_exp_avg_sq` | `momentum`, `velocity`, `velocity_hat` | `mu`, `nu`, `nu_max` |
/// | Adamax | `exp_avg`, `exp_inf` | `momentum`, `norm` | `mu`, `nu` |
/// | NAdam | `exp_avg`, `exp_avg_sq` | `momentum`, `velocity` | `mu`, `nu` |
/// | RAdam | `exp_avg`, `exp_avg_sq` | | `mu`, `nu` |
/// | Rprop | `prev`, `step_size` | | `prev_updates`, `step_sizes` |
/// | Lion | `exp_avg`, not in PyTorch | `momentum` | `mu` |
/// | FTRL | `accumulator`, `linear`, not in PyTorch | the same | |
///
/// # Errors
/// [`Error::Inconvertible`], which names the option, where no algebra carries it over: any option not named
/// above; eps or eps_root in one of the rules alone; eps inside the root in one and outside in the other;
/// another velocity or decay at an `lr` of 0; dampening that changes together with Nesterov's form, or before
/// the first step, or from or to 1; coupled to decoupled decay, or decay of the old parameter to decay of the
/// new one; a state that would overflow. [`Error::OtherRule`] for rules of two kinds, [`Error::Conflict`] for a
/// rule whose options contradict each other, [`Error::OutOfRange`] where a number of the new rule would be too
/// large or too small, [`Error::StepZero`], [`Error::StateCount`], and [`Error::Length`] where a slice is not as
/// long as the first. Nothing has changed then.
///
/// ```
/// use gradstep::{Adam, AdamEps, Momentum, convert};
///
/// // A checkpoint from Keras, whose velocity holds -lr.
/// let mut momentum = [-0.02, 0.04];
/// let rule = convert(&Momentum::keras(), &Momentum::torch(), 101, &mut [&mut momentum])?;
/// assert_eq!(momentum, [2.0, -4.0]);
/// assert_eq!(rule, Momentum::torch().lr(0.01)?);
///
/// let (mut exp_avg, mut exp_avg_sq) = ([0.5], [0.25]);
/// let rule = Adam::torch().beta2(0.75)?.eps(0.5)?;
/// let hat = convert(&rule, &rule.eps_place(AdamEps::Hat)?, 1, &mut [&mut exp_avg, &mut exp_avg_sq])?;
/// assert_eq!(hat, Adam::torch().beta2(0.75)?.eps(0.25)?.eps_place(AdamEps::Hat)?); // .5*sqrt(1 - .75)
/// # Ok::<(), gradstep::Error>(())
/// ```
pub fn convert<R: Rule + Options>(from: &R, to: &R, step: u64, state: &mut [&mut [f32]]) -> Result<R, Error> {
    if step == 0 {
        return Err(Error::StepZero);
    }
    if from.kind() != to.kind() {
        return Err(Error::OtherRule { from: from.name(), to: to.name() });
    }
    from.check()?;
    to.check()?;
    check_state(from, state)?;
    let mut rule = *to;
    carry(from, &mut rule)?;
    check_others(from, &rule)?;
    let velocity = convert_velocity(from, &mut rule, step)?;
    convert_eps(from, &mut rule, step)?;
    convert_decay(from, &mut rule)?;
    convert_l1(from, &mut rule)?;
    rule.check()?;
    if let Some(Factor { slot, factor }) = velocity {
        multiply(from, state[slot], factor)?;
    }
    Ok(rule)
}

/// Numbers that `to` takes from `from`. Conventions may change some of them afterwards.
const CARRIED: [&str; 6] = ["lr", "weight_decay", "l1", "eps", "eps_root", "initial_accumulator_value"];

/// Options for which there is algebra.
const CONVERTED: [&str; 5] = ["velocity", "dampening", "eps_place", "decay", "l1_form"];

const NO_ALGEBRA: &str = "both rules must have the same, no algebra leads from one to the other";

fn refuse(rule: &impl Rule, option: &'static str, reason: &'static str) -> Error {
    Error::Inconvertible { rule: rule.name(), option, reason }
}

fn check_state(rule: &impl Rule, state: &[&mut [f32]]) -> Result<(), Error> {
    let layout = Layout::of(rule);
    layout.check_count(state.len())?;
    let params = state.first().map_or(0, |slice| slice.len());
    layout.check_lengths(params, state.iter().map(|slice| slice.len()))
}

fn carry<R: Rule + Options>(from: &R, to: &mut R) -> Result<(), Error> {
    for option in ["eps", "eps_root"] {
        if (number(from, option) == Some(0.0)) != (number(to, option) == Some(0.0)) {
            return Err(refuse(from, option, "it is 0 in one of the rules alone"));
        }
    }
    for option in CARRIED {
        if let Some(value) = number(from, option) {
            to.set(option, value)?;
        }
    }
    Ok(())
}

fn check_others<R: Rule + Options>(from: &R, to: &R) -> Result<(), Error> {
    let mut others = from.options().iter().filter(|option| !CONVERTED.contains(&option.name));
    let differs = others.find(|option| from.get(option.name) != to.get(option.name));
    differs.map_or(Ok(()), |option| Err(refuse(from, option.name, NO_ALGEBRA)))
}

/// What a state slice is multiplied with.
struct Factor {
    slot: usize,
    factor: f64,
}

fn convert_velocity<R: Rule + Options>(from: &R, to: &mut R, step: u64) -> Result<Option<Factor>, Error> {
    let slot = from.slots().iter().position(|slot| slot.name == "momentum_buffer");
    let (Some(slot), Some(old), Some(new)) = (slot, Heavy::of(from), Heavy::of(to)) else {
        return Ok(None); // RMSProp without momentum has the option and no velocity.
    };
    if old == new {
        return Ok(None);
    }
    if old.dampening != new.dampening {
        check_dampening(from, &old, &new, step)?;
    }
    let lr = old.lr * old.gain() / new.gain();
    let factor = old.along() / Heavy { lr, ..new }.along();
    if !is_positive(f64::from(factor.abs() as f32)) {
        let option = if old.velocity == new.velocity { "dampening" } else { "velocity" };
        return Err(refuse(from, option, "at this lr the state would become 0 or be divided by 0"));
    }
    to.set("lr", lr)?;
    Ok(Some(Factor { slot, factor }))
}

/// Dampening is a smaller `lr`, where it is for all steps to come and for the whole step.
fn check_dampening(rule: &(impl Rule + Options), old: &Heavy, new: &Heavy, step: u64) -> Result<(), Error> {
    let reason = if step == 1 {
        "the first step is not dampened, and is still to come"
    } else if rule.get("nesterov") == Some(Value::Flag(true)) {
        "the gradient that nesterov adds is not dampened"
    } else if old.gain() == 0.0 || new.gain() == 0.0 {
        "at 1 no gradient enters the velocity"
    } else {
        return Ok(());
    };
    Err(refuse(rule, "dampening", reason))
}

/// What decides how a velocity grows and acts: `v = momentum*v + r/a*g; p = p - a*v`, with `r = lr*gain`.
#[derive(Clone, Copy, PartialEq)]
struct Heavy {
    velocity: Velocity,
    lr: f64,
    momentum: f64,
    dampening: f64,
}

impl Heavy {
    fn of(rule: &impl Options) -> Option<Self> {
        Some(Self {
            velocity: word(rule, "velocity")?,
            lr: number(rule, "lr")?,
            momentum: number(rule, "momentum")?,
            dampening: number(rule, "dampening").unwrap_or(0.0),
        })
    }

    fn gain(&self) -> f64 {
        match self.velocity {
            Velocity::Sum => 1.0 - self.dampening,
            Velocity::LrInside | Velocity::LrInsideNegative => 1.0,
            Velocity::Average => 1.0 - self.momentum,
        }
    }

    fn along(&self) -> f64 {
        match self.velocity {
            Velocity::Sum | Velocity::Average => self.lr,
            Velocity::LrInside => 1.0,
            Velocity::LrInsideNegative => -1.0,
        }
    }
}

fn convert_eps<R: Rule + Options>(from: &R, to: &mut R, step: u64) -> Result<(), Error> {
    if from.get("eps_place") == to.get("eps_place") {
        return Ok(());
    }
    let (Some(old), Some(eps), Some(beta2)) =
        (word::<AdamEps>(from, "eps_place"), number(from, "eps"), number(from, "beta2"))
    else {
        return Err(refuse(from, "eps_place", NO_ALGEBRA));
    };
    let corrected = from.get("bias_correction2") != Some(Value::Flag(false));
    let scale = if corrected { sqrt(correction(beta2, step)) } else { 1.0 };
    let eps = match old {
        AdamEps::AfterCorrection => eps * scale,
        AdamEps::Hat => eps / scale,
    };
    to.set("eps", eps)
}

fn convert_decay<R: Rule + Options>(from: &R, to: &mut R) -> Result<(), Error> {
    let (Some(old), Some(new)) = (Shrinking::of(from), Shrinking::of(to)) else { return Ok(()) };
    if old == new || old.weight_decay == 0.0 || (old.decay, new.decay) == (Decay::Coupled, Decay::Coupled) {
        return Ok(());
    }
    let beside = |rule| match rule {
        Shrinking { decay: Decay::Coupled, .. } if is_linear(from) => {
            Shrinking { decay: Decay::Decoupled, ..rule }
        }
        _ => rule,
    };
    let (old, new) = (beside(old), beside(new));
    if old.order() != new.order() {
        return Err(refuse(from, "decay", NO_ALGEBRA));
    }
    let weight_decay = new.weight_decay_for(old.part());
    if !is_positive(weight_decay) {
        return Err(refuse(from, "decay", "no weight_decay does the same at this lr"));
    }
    to.set("weight_decay", weight_decay)
}

/// The step is `lr` times the gradient, so that what is added to one is added to the other.
fn is_linear(rule: &(impl Rule + Options)) -> bool {
    rule.kind() == "sgd" && rule.get("cautious") == Some(Value::Flag(false))
}

/// What decides how weight decay acts.
#[derive(Clone, Copy, PartialEq)]
struct Shrinking {
    decay: Decay,
    weight_decay: f64,
    lr: f64,
}

/// What it is that decays. One cannot be expressed by another.
#[derive(PartialEq)]
enum Order {
    Gradient,
    Update,
    OldParameter,
    NewParameter,
}

impl Shrinking {
    fn of(rule: &impl Options) -> Option<Self> {
        Some(Self {
            decay: word(rule, "decay")?,
            weight_decay: number(rule, "weight_decay")?,
            lr: number(rule, "lr")?,
        })
    }

    fn order(&self) -> Order {
        match self.decay {
            Decay::Coupled => Order::Gradient,
            Decay::Update => Order::Update,
            Decay::Decoupled | Decay::Fixed => Order::OldParameter,
            Decay::DecoupledAfter | Decay::FixedAfter | Decay::Proximal => Order::NewParameter,
        }
    }

    /// Returns which part of a parameter decays in a step.
    fn part(&self) -> f64 {
        Common::decay(self.decay, self.weight_decay).decay_part(self.lr)
    }

    /// The other way round.
    fn weight_decay_for(&self, part: f64) -> f64 {
        match self.decay {
            Decay::Coupled | Decay::Update | Decay::Fixed | Decay::FixedAfter => part,
            Decay::Decoupled | Decay::DecoupledAfter => part / self.lr,
            Decay::Proximal => part / (1.0 - part) / self.lr,
        }
    }
}

fn convert_l1<R: Rule + Options>(from: &R, to: &mut R) -> Result<(), Error> {
    let (Some(l1), Some(old), Some(new)) = (number(from, "l1"), number(from, "lr"), number(to, "lr")) else {
        return Ok(());
    };
    if l1 == 0.0 {
        Ok(())
    } else if from.get("l1_form") != to.get("l1_form") {
        Err(refuse(from, "l1_form", NO_ALGEBRA))
    } else if old != new && word(from, "l1_form") == Some(L1::Proximal) {
        to.set("l1", l1 * (old / new))
    } else {
        Ok(())
    }
}

fn multiply(rule: &impl Rule, slice: &mut [f32], factor: f64) -> Result<(), Error> {
    let product = |x: f32| (f64::from(x) * factor) as f32;
    if slice.iter().any(|&x| x.is_finite() && !product(x).is_finite()) {
        return Err(refuse(rule, "velocity", "an element of momentum_buffer would overflow"));
    }
    slice.iter_mut().for_each(|x| *x = product(*x));
    Ok(())
}

fn number(rule: &impl Options, option: &str) -> Option<f64> {
    word(rule, option)
}

fn word<T: OptionType>(rule: &impl Options, option: &str) -> Option<T> {
    rule.get(option).and_then(T::read)
}

fn is_positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}
