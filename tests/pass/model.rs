//! Tensors that own their numbers, in any format and at any alignment.

use std::ops::{Deref, DerefMut, Range};

use gradstep::{Floats, FloatsMut, Format, Grads, Rule, Telemetry, TelemetrySlot, Tensor, new_state};
use half::{bf16, f16};
use testkit::Random;

use crate::parts::Parts;

/// Numbers between sentinels, so that they begin where an alignment test wants them to.
#[derive(Clone, Debug)]
pub struct Padded<T> {
    all: Vec<T>,
    pad: usize,
}

const SENTINEL: u16 = 12_345;
const BEHIND: usize = 3;

impl<T: Copy + From<u16> + PartialEq> Padded<T> {
    pub fn new(values: &[T], pad: usize) -> Self {
        let sentinels = |n| vec![T::from(SENTINEL); n];
        Self { all: [&sentinels(pad), values, &sentinels(BEHIND)].concat(), pad }
    }

    fn is_intact(&self) -> bool {
        let behind = self.all.len() - BEHIND;
        self.all[..self.pad].iter().chain(&self.all[behind..]).all(|x| *x == T::from(SENTINEL))
    }
}

impl<T> Deref for Padded<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all[self.pad..self.all.len() - BEHIND]
    }
}

impl<T> DerefMut for Padded<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let end = self.all.len() - BEHIND;
        &mut self.all[self.pad..end]
    }
}

/// Numbers of one of the formats; `None` stands for `f32`.
#[derive(Clone, Debug)]
pub enum Numbers {
    Single(Padded<f32>),
    Half(Format, Padded<u16>),
}

pub const FORMATS: [Option<Format>; 3] = [None, Some(Format::Bf16), Some(Format::F16)];

/// By another crate's conversions.
pub fn round(format: Format, x: f32) -> u16 {
    match format {
        Format::Bf16 => bf16::from_f32(x).to_bits(),
        Format::F16 => f16::from_f32(x).to_bits(),
    }
}

pub fn widen(format: Format, bits: u16) -> f32 {
    match format {
        Format::Bf16 => bf16::from_bits(bits).to_f32(),
        Format::F16 => f16::from_bits(bits).to_f32(),
    }
}

/// The numbers of a format beside `x`, `x` rounded to nearest among them.
fn beside(x: f64, format: Option<Format>) -> [f32; 3] {
    let near = match format {
        None => return [(x as f32).next_down(), x as f32, (x as f32).next_up()],
        Some(format) => (format, round(format, x as f32)),
    };
    [near.1.wrapping_sub(1), near.1, near.1.wrapping_add(1)].map(|bits| widen(near.0, bits))
}

/// The number of a format next to `x`, or the one beside it that is nearer to zero.
pub fn toward_zero(x: f64, format: Option<Format>) -> f32 {
    let within = beside(x, format).into_iter().filter(|near| f64::from(near.abs()) <= x.abs());
    within.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(x as f32)
}

/// The numbers of a format that are the nearest inside of bounds.
pub fn inward((low, high): (f32, f32), format: Option<Format>) -> (f32, f32) {
    let lowest = beside(low.into(), format).into_iter().filter(|x| *x >= low).fold(f32::INFINITY, f32::min);
    let highest =
        beside(high.into(), format).into_iter().filter(|x| *x <= high).fold(f32::NEG_INFINITY, f32::max);
    (lowest, highest)
}

impl Numbers {
    pub fn new(format: Option<Format>, values: &[f32]) -> Self {
        match format {
            None => Self::Single(Padded::new(values, 0)),
            Some(format) => {
                let bits: Vec<u16> = values.iter().map(|&x| round(format, x)).collect();
                Self::Half(format, Padded::new(&bits, 0))
            }
        }
    }

    pub fn len(&self) -> usize {
        self.read().len()
    }

    pub fn is_single(&self) -> bool {
        self.format().is_none()
    }

    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Single(_) => None,
            Self::Half(format, _) => Some(*format),
        }
    }

    pub fn values(&self) -> Vec<f32> {
        match self {
            Self::Single(values) => values.to_vec(),
            Self::Half(format, bits) => bits.iter().map(|&bits| widen(*format, bits)).collect(),
        }
    }

    pub fn set(&mut self, i: usize, x: f32) {
        match self {
            Self::Single(values) => values[i] = x,
            Self::Half(format, bits) => bits[i] = round(*format, x),
        }
    }

    pub fn set_all(&mut self, values: &[f32]) {
        values.iter().enumerate().for_each(|(i, &x)| self.set(i, x));
    }

    pub fn read(&self) -> Floats<'_> {
        match self {
            Self::Single(values) => Floats::F32(values),
            Self::Half(format, bits) => Floats::Half(*format, bits),
        }
    }

    pub fn write(&mut self) -> FloatsMut<'_> {
        match self {
            Self::Single(values) => FloatsMut::F32(values),
            Self::Half(format, bits) => FloatsMut::Half(*format, bits),
        }
    }

    /// What is compared; 16 bits are widened exactly.
    pub fn bits(&self) -> Vec<u32> {
        testkit::bits(&self.values())
    }

    fn shifted(&self, pad: usize) -> Self {
        match self {
            Self::Single(values) => Self::Single(Padded::new(values, pad)),
            Self::Half(format, bits) => Self::Half(*format, Padded::new(bits, pad)),
        }
    }

    fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::Single(values) => Self::Single(Padded::new(&values[range], 0)),
            Self::Half(format, bits) => Self::Half(*format, Padded::new(&bits[range], 0)),
        }
    }

    /// Both of one format.
    pub fn followed_by(&self, later: &Self) -> Self {
        match (self, later) {
            (Self::Single(first), Self::Single(later)) => {
                Self::Single(Padded::new(&[&first[..], later].concat(), 0))
            }
            (Self::Half(format, first), Self::Half(_, later)) => {
                Self::Half(*format, Padded::new(&[&first[..], later].concat(), 0))
            }
            _ => panic!("two formats"),
        }
    }

    fn is_intact(&self) -> bool {
        match self {
            Self::Single(values) => values.is_intact(),
            Self::Half(_, bits) => bits.is_intact(),
        }
    }
}

/// One tensor of a model.
#[derive(Clone, Debug)]
pub struct Owned {
    pub params: Numbers,
    pub grads: Numbers,
    /// Whether the gradient is given as read-only.
    pub read_only: bool,
    pub more: Vec<Numbers>,
    pub state: Vec<Padded<f32>>,
    pub average: Option<Padded<f32>>,
    /// How many steps are in the average.
    pub averaged: u64,
    pub copy: Option<Numbers>,
    pub rows: Option<usize>,
    pub offset: usize,
    /// What the last pass told, where it is to be asked.
    pub told: Option<Telemetry>,
}

impl Owned {
    /// A plain tensor: `f32`, state as before the first step, nothing beside it.
    pub fn plain(rule: &impl Rule, params: &[f32], grads: &[f32]) -> Self {
        Self {
            params: Numbers::new(None, params),
            grads: Numbers::new(None, grads),
            read_only: false,
            more: Vec::new(),
            state: new_state(rule, params).iter().map(|slice| Padded::new(slice, 0)).collect(),
            average: None,
            averaged: 0,
            copy: None,
            rows: None,
            offset: 0,
            told: None,
        }
    }

    /// Random numbers in random formats, with random slices beside them, of those that a pass with these parts takes.
    pub fn random(parts: &Parts, rule: &impl Rule, len: usize, random: &mut Random) -> Self {
        let mut tensor = Self::plain(rule, &numbers(len, random), &[]);
        tensor.params = any_numbers(len, random);
        tensor.grads = any_numbers(len, random);
        tensor.read_only = !parts.zero_grads && random.below(2) == 0;
        if !parts.zero_grads {
            tensor.more = (0..random.below(8).saturating_sub(5)).map(|_| any_numbers(len, random)).collect();
        }
        tensor.state.iter_mut().for_each(|slice| fill_state(slice, random));
        tensor.average =
            (parts.average.is_some() && random.below(4) > 0).then(|| Padded::new(&numbers(len, random), 0));
        tensor.averaged = random.below(4) as u64;
        tensor.copy = (random.below(3) == 0).then(|| any_numbers(len, random));
        tensor.rows = (random.below(2) == 0).then(|| any_rows(len, random));
        tensor.told = (random.below(2) == 0).then(Telemetry::default);
        tensor
    }

    /// Puts a NaN or an infinity in the gradient.
    pub fn poison(&mut self, random: &mut Random) {
        let poison = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][random.below(3)];
        self.grads.set(random.below(self.len()), poison);
    }

    /// Puts a finite gradient in, and in so many micro-batches more, that becomes infinite when they are added up or unscaled.
    pub fn overflow(&mut self, large: f32, more: usize, random: &mut Random) {
        self.grads = Numbers::new(None, &self.grads.values());
        self.more = vec![self.grads.clone(); more];
        let i = random.below(self.len());
        self.grads.set(i, large);
        self.more.iter_mut().for_each(|more| more.set(i, large));
    }

    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// How many elements a row has, where there are any.
    pub fn row_len(&self) -> Option<usize> {
        self.rows.map(|rows| self.len() / rows).filter(|&len| len > 0)
    }

    /// The bits of everything that a pass may change.
    pub fn bits(&self) -> Vec<Vec<u32>> {
        let single = |values: &Padded<f32>| testkit::bits(values);
        let halves = [Some(&self.params), Some(&self.grads), self.copy.as_ref()];
        let singles = self.state.iter().chain(&self.average).map(single);
        let averaged = vec![self.averaged as u32];
        halves.into_iter().flatten().map(Numbers::bits).chain(singles).chain([averaged]).collect()
    }

    /// The same with every slice at another alignment.
    pub fn shifted(&self, pad: usize) -> Self {
        let single = |values: &Padded<f32>| Padded::new(values, (pad + 1) % 4);
        Self {
            params: self.params.shifted(pad),
            grads: self.grads.shifted((pad + 3) % 4),
            more: self.more.iter().map(|more| more.shifted((pad + 2) % 4)).collect(),
            state: self.state.iter().map(single).collect(),
            average: self.average.as_ref().map(single),
            copy: self.copy.as_ref().map(|copy| copy.shifted((pad + 1) % 4)),
            ..self.clone()
        }
    }

    /// Some of the elements, as a shard.
    pub fn shard(&self, range: Range<usize>) -> Self {
        let single = |values: &Padded<f32>| Padded::new(&values[range.clone()], 0);
        let halves = |numbers: &Numbers| numbers.part(range.clone());
        Self {
            params: halves(&self.params),
            grads: halves(&self.grads),
            more: self.more.iter().map(halves).collect(),
            state: self.state.iter().map(single).collect(),
            average: self.average.as_ref().map(single),
            copy: self.copy.as_ref().map(halves),
            rows: self.row_len().map(|row_len| (range.len() / row_len).max(1)),
            offset: range.start,
            ..self.clone()
        }
    }

    /// Whether nothing was written beside the slices.
    pub fn is_intact(&self) -> bool {
        let numbers = [&self.params, &self.grads].into_iter().chain(&self.more).chain(&self.copy);
        numbers.into_iter().all(Numbers::is_intact)
            && self.state.iter().chain(&self.average).all(Padded::is_intact)
    }

    fn tensor<'a>(&'a mut self, more: &'a [Floats<'a>], slot: &'a TelemetrySlot) -> Tensor<'a> {
        let grads =
            if self.read_only { Grads::Read(self.grads.read()) } else { Grads::Write(self.grads.write()) };
        let state = self.state.iter_mut().map(|slice| &mut **slice);
        let mut tensor = Tensor::new(self.params.write(), grads, state).unwrap();
        tensor = tensor.more_grads(more).shard_at(self.offset);
        if let Some(average) = &mut self.average {
            tensor = tensor.average(average, &mut self.averaged);
        }
        if let Some(copy) = &mut self.copy {
            tensor = tensor.copy_out(copy.write());
        }
        if let Some(rows) = self.rows {
            tensor = tensor.rows(rows);
        }
        if self.told.is_some() { tensor.telemetry(slot) } else { tensor }
    }
}

/// Lends a model to a pass.
pub fn with_tensors<T>(model: &mut [Owned], work: impl FnOnce(Vec<Tensor<'_>>) -> T) -> T {
    let more: Vec<Vec<Numbers>> = model.iter_mut().map(|tensor| std::mem::take(&mut tensor.more)).collect();
    let floats: Vec<Vec<Floats<'_>>> =
        more.iter().map(|more| more.iter().map(Numbers::read).collect()).collect();
    let slots: Vec<TelemetrySlot> = model.iter().map(|_| TelemetrySlot::default()).collect();
    let tensors = model
        .iter_mut()
        .zip(&floats)
        .zip(&slots)
        .map(|((owned, more), slot)| owned.tensor(more, slot))
        .collect();
    let answer = work(tensors);
    for ((tensor, more), slot) in model.iter_mut().zip(&more).zip(&slots) {
        tensor.more.clone_from(more);
        tensor.told = tensor.told.map(|_| slot.get());
    }
    answer
}

/// Asserts that two models are the same but for telemetry, and names the first difference.
pub fn assert_same(found: &[Owned], expected: &[Owned], label: impl Fn() -> String) {
    let (found, expected) = (bits(found), bits(expected));
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (slice, (found, expected)) in found.iter().zip(expected).enumerate() {
            if let Some(i) = (0..found.len()).find(|&i| found[i] != expected[i]) {
                let [found, expected] = [found, expected].map(|bits| f32::from_bits(bits[i]));
                panic!("tensor {place}, slice {slice}, {i}: {found:e}, not {expected:e}\n{}", label());
            }
        }
    }
    assert_eq!(found.len(), expected.len());
}

/// The bits of everything, and what was told.
pub type Outcome = (Vec<Vec<u32>>, Option<Telemetry>);

pub fn outcome(model: &[Owned]) -> Vec<Outcome> {
    assert!(model.iter().all(Owned::is_intact), "something was written beside a slice");
    model.iter().map(|tensor| (tensor.bits(), tensor.told)).collect()
}

pub fn bits(model: &[Owned]) -> Vec<Vec<Vec<u32>>> {
    model.iter().map(Owned::bits).collect()
}

/// Zeros of both signs, and several magnitudes.
fn number(random: &mut Random) -> f32 {
    let scale = [1.0, 1.0, 1e-3, 30.0, 1e-20, 1e-41][random.below(6)];
    match random.below(12) {
        0 => 0.0,
        1 => -0.0,
        _ => random.signed() * scale,
    }
}

fn numbers(len: usize, random: &mut Random) -> Vec<f32> {
    (0..len).map(|_| number(random)).collect()
}

fn any_numbers(len: usize, random: &mut Random) -> Numbers {
    let format = FORMATS[random.below(5) % 3];
    Numbers::new(format, &numbers(len, random))
}

/// What a few steps may have left: no square is below 0.
fn fill_state(slice: &mut [f32], random: &mut Random) {
    slice.iter_mut().for_each(|x| *x = number(random).abs());
}

/// A divisor of the length, often a large one.
fn any_rows(len: usize, random: &mut Random) -> usize {
    let divisors: Vec<usize> = (1..=len.max(1)).filter(|rows| len.is_multiple_of(*rows)).collect();
    divisors[random.below(divisors.len())]
}
