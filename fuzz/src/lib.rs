//! What the fuzz targets share: how bytes become numbers, steps, rules with options, and slices.
//!
//! Numbers come from a seed rather than from a byte for each bit, so that a short input makes a whole model. One choice in
//! eight takes the fuzzer's own bits, with which it can search for a number.

pub mod limits;

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use gradstep::{AnyRule, Backend, Kind, Rule, Value};
use testkit::{AWKWARD, Random, sharing, whole};

/// The fuzzer's bytes, and behind them up to `most` that follow from them. A short input would else make the first of all
/// choices from where it ends.
pub fn with_tail(data: &[u8], most: usize) -> Vec<u8> {
    let mix = |seed: u64, byte: &u8| Random(seed << 8 ^ u64::from(*byte)).draw();
    let mut random = Random(data.iter().fold(data.len() as u64, mix));
    let len = random.below(most + 1);
    let tail = (0..len.div_ceil(8)).flat_map(|_| random.draw().to_le_bytes());
    data.iter().copied().chain(tail.take(len)).collect()
}

/// Numbers of every kind, more often those that are of use.
pub fn number(u: &mut Unstructured<'_>) -> Result<f64> {
    const EDGES: [f64; 20] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.0,
        1.0 - f64::EPSILON / 2.0,
        1.0 + f64::EPSILON,
        f64::MIN_POSITIVE,
        5e-324,
        f32::MAX as f64,
        3.5e38,
        1e39,
        1e-38,
        1e-46,
        1e19,
        f64::MAX,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    match u.int_in_range(0..=7)? {
        0..=3 => Ok(f64::from(u.arbitrary::<u8>()?) / 200.0),
        4 => Ok(f64::from(u.arbitrary::<u16>()?)),
        5 | 6 => Ok(*u.choose(&EDGES)?),
        _ => u.arbitrary(),
    }
}

/// Counts of steps: few, many, and all that there are.
pub fn count(u: &mut Unstructured<'_>) -> Result<u64> {
    match u.int_in_range(0..=7)? {
        0..=3 => u.int_in_range(0..=20),
        4 | 5 => Ok(u.arbitrary::<u16>()?.into()),
        6 => Ok(u64::MAX - u64::from(u.arbitrary::<u8>()?)),
        _ => u.arbitrary(),
    }
}

/// How many steps a tensor has taken: none, one, some, or nearly as many as can be counted.
pub fn steps_taken(u: &mut Unstructured<'_>) -> Result<u64> {
    match u.int_in_range(0..=7)? {
        0 | 1 => Ok(0),
        2 => Ok(1),
        3 => Ok(u64::MAX),
        4 => Ok(u64::MAX - 1),
        5 => u.int_in_range(2..=1 << 40),
        6 => u.int_in_range(2..=200),
        _ => count(u),
    }
}

/// The number of a step, which counts from 1.
pub fn step(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(steps_taken(u)?.max(1))
}

/// Plain numbers, numbers at the edges, any bits at all, or the bits that the fuzzer chooses.
pub fn values(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<f32>> {
    let kind = u.int_in_range(0..=7)?;
    if kind == 7 {
        return (0..len).map(|_| Ok(f32::from_bits(u.arbitrary()?))).collect();
    }
    let mut random = Random(u.arbitrary::<u16>()?.into());
    let value = |_| match kind {
        4 if random.below(4) == 0 => AWKWARD[random.below(AWKWARD.len())],
        0..=4 => plain(&mut random),
        5 => AWKWARD[random.below(AWKWARD.len())],
        _ => f32::from_bits(random.bits(32)),
    };
    Ok((0..len).map(value).collect())
}

/// Numbers that training could have: from -8 to 8.
pub fn plain_values(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<f32>> {
    let mut random = Random(u.arbitrary::<u16>()?.into());
    Ok((0..len).map(|_| plain(&mut random)).collect())
}

/// From -8 to 8, in steps of 1/4096.
fn plain(random: &mut Random) -> f32 {
    random.bits(16) as i16 as f32 / 4096.0
}

/// State as some step may have left it, or not.
pub fn any_state(u: &mut Unstructured<'_>, rule: &AnyRule, len: usize) -> Result<Vec<Vec<f32>>> {
    rule.slots().iter().map(|slot| values(u, slot.len(len))).collect()
}

/// Changes one number of the state, if there is any.
pub fn change_state(u: &mut Unstructured<'_>, state: &mut [Vec<f32>]) -> Result<()> {
    let mut numbers: Vec<_> = state.iter_mut().flatten().collect();
    if !numbers.is_empty() {
        let place = u.choose_index(numbers.len())?;
        *numbers[place] = values(u, 1)?[0];
    }
    Ok(())
}

/// The rules that look at whole tensors, and those of them that look at all tensors together.
static WHOLE: LazyLock<[Vec<&str>; 2]> =
    LazyLock::new(|| [whole().collect(), sharing().map(|rule| rule.name()).collect()]);

/// Any preset of any rule, with some options changed.
pub fn any_rule(u: &mut Unstructured<'_>) -> Result<AnyRule> {
    let names = match u.int_in_range(0..=7)? {
        0..=4 => AnyRule::NAMES,
        5 | 6 => &WHOLE[0],
        _ => &WHOLE[1],
    };
    let name = u.choose(names)?;
    let mut rule = AnyRule::preset(name, u.choose(AnyRule::presets(name))?).expect("a registered preset");
    change_options(u, &mut rule)?;
    Ok(rule)
}

/// Sets a few options to anything. What the rule refuses must have changed nothing, and what it takes it must have.
pub fn change_options(u: &mut Unstructured<'_>, rule: &mut AnyRule) -> Result<()> {
    for _ in 0..u.int_in_range(0..=4)? {
        let option = u.choose(rule.options())?;
        let value = match option.kind {
            Kind::Number(_) => Value::Number(number(u)?),
            Kind::Flag => Value::Flag(u.arbitrary()?),
            Kind::Choice(words) => Value::Choice(u.choose(words)?),
        };
        let before = *rule;
        match rule.set(option.name, value) {
            Ok(()) => assert_eq!(rule.get(option.name), Some(value)),
            Err(error) => {
                assert_eq!(*rule, before, "{error}");
                assert!(!error.to_string().is_empty());
            }
        }
        if let (Kind::Number(domain), Value::Number(number)) = (option.kind, value) {
            assert!(domain.contains(number) || rule.get(option.name) != Some(value));
        }
        // What contradicts another option is refused by the first step, and taken back here.
        if limits::is_slow(rule) || rule.check().is_err() {
            *rule = before;
        }
    }
    Ok(())
}

pub fn any_backend(u: &mut Unstructured<'_>) -> Result<Backend> {
    let backends: Vec<Backend> = Backend::available().collect();
    Ok(*u.choose(&backends)?)
}
