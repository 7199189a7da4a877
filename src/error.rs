//! Why a request was refused. A refused request has changed nothing.

use core::fmt;

use crate::{
    formats::half::Format,
    name::{Name, list},
    rule::{
        slots::Slot,
        state_kind::StateKind,
        values::{Domain, Kind, OptionInfo},
    },
};

/// Why a request was refused. Nothing was changed: no parameter, no state, no option.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A slice does not have one element for each parameter.
    Length {
        /// `"grads"`, or the name of a state slice.
        slice: &'static str,
        /// The number of parameters.
        expected: usize,
        /// The number of elements in the slice.
        found: usize,
    },
    /// A slice of one tensor among several does not have one element for each parameter.
    TensorLength {
        /// The tensor: `"#3"`, counted from 0, in a list, or else its name.
        tensor: Name,
        /// `"params"`, `"grads"`, or the name of a state slice.
        slice: &'static str,
        /// The number of parameters.
        expected: usize,
        /// The number of elements in the slice.
        found: usize,
    },
    /// More state slices than a [`Tensor`](crate::Tensor) holds.
    TooManySlices {
        /// How many were given.
        found: usize,
        /// How many it holds.
        most: usize,
    },
    /// The rule needs another number of state slices.
    StateCount {
        /// The rule's name.
        rule: &'static str,
        /// The slots that it has, in order.
        expected: &'static [Slot],
        /// How many were given.
        found: usize,
    },
    /// A rule of the caller's own contradicts itself: its kernel takes another number of state slices than it names.
    KernelState {
        /// The rule's name.
        rule: &'static str,
        /// How many slices the rule names.
        named: usize,
        /// How many its kernel takes.
        taken: usize,
    },
    /// A rule of the caller's own names a slot about the whole tensor before one with an element for each parameter.
    SlotOrder {
        /// The rule's name.
        rule: &'static str,
    },
    /// The rows that were told do not divide a tensor evenly.
    Rows {
        /// The tensor, as in [`TensorLength`](Self::TensorLength).
        tensor: Name,
        /// How many rows.
        rows: usize,
        /// How many elements.
        len: usize,
    },
    /// A shard that does not begin at a multiple of what is summed up at a time.
    ShardOffset {
        /// The tensor, as in [`TensorLength`](Self::TensorLength).
        tensor: Name,
        /// Where it begins.
        offset: usize,
        /// What has to divide that.
        block: usize,
    },
    /// A pass and a tensor that do not fit each other.
    Pass {
        /// The tensor, as in [`TensorLength`](Self::TensorLength).
        tensor: Name,
        /// Why.
        reason: &'static str,
    },
    /// A tensor has something that only a pass looks at: 16 bits, more gradients, an average, a copy, telemetry, rows, or a
    /// shard's offset.
    NeedsPass {
        /// The tensor, as in [`TensorLength`](Self::TensorLength), if it is one of a list.
        tensor: Option<Name>,
    },
    /// A part of a pass without effect, because no tensor of the list has what it takes.
    NoEffect {
        /// The method of [`Pass`](crate::Pass) that asked for it.
        option: &'static str,
        /// What a tensor needs.
        needs: &'static str,
    },
    /// Bounds of parameters between which a tensor's format has no number.
    FormatBounds {
        /// The tensor, as in [`TensorLength`](Self::TensorLength).
        tensor: Name,
        /// `"params"` or `"copy_out"`.
        slice: &'static str,
        /// Its format.
        format: Format,
        /// The lower one.
        low: f32,
        /// The upper one.
        high: f32,
    },
    /// Bounds of parameters that leave no room, or are NaN.
    Bounds {
        /// The lower one.
        low: f32,
        /// The upper one.
        high: f32,
    },
    /// Steps count from 1: at 0 a bias correction would divide by zero.
    StepZero,
    /// The host has this thread take subnormal numbers for zero (FTZ or DAZ in x86's MXCSR, FZ in Arm's FPCR), with which
    /// bits would not be the same as everywhere else. Where there is `std` every step looks at the calling thread, unless
    /// [`Workers::flushing_host`](crate::Workers::flushing_host) says that it is so on purpose; gradstep itself never touches
    /// these registers.
    FlushedSubnormals,
    /// Batches of no samples were asked for.
    EmptyBatch,
    /// A number outside its domain, NaN and infinities included: a hyper-parameter, or a setting of a pass, a schedule or a
    /// loss scaler. Where it is kept as an `f32`, one whose `f32` is outside as well.
    OutOfRange {
        /// The name of the rule or the schedule, or `"pass"` and the like.
        rule: &'static str,
        /// The option's name.
        option: &'static str,
        /// What was asked for.
        value: f64,
        /// What would have been taken.
        domain: Domain,
    },
    /// Two options that exclude each other.
    Conflict {
        /// The rule's name.
        rule: &'static str,
        /// Which options, and why.
        reason: &'static str,
    },
    /// The rule has no option of this name.
    UnknownOption {
        /// The rule's name.
        rule: &'static str,
        /// The name that was asked for.
        option: Name,
        /// The option that was probably meant: what a framework calls so, or what is spelt nearly so.
        nearest: Option<&'static str>,
        /// The options that it has.
        known: &'static [OptionInfo],
    },
    /// An option was given a value of the wrong kind, or a choice that it does not have.
    WrongValue {
        /// The rule's name.
        rule: &'static str,
        /// The option's name.
        option: &'static str,
        /// What was asked for.
        found: Name,
        /// What would have been taken.
        expected: Kind,
        /// The option that was probably meant, where a framework calls another one so.
        nearest: Option<&'static str>,
    },
    /// Two parameters were given the same name.
    DuplicateName {
        /// The name.
        name: Name,
    },
    /// The optimizer has no parameter of this name, or none with this number.
    UnknownParam {
        /// The name, or `"#3"` for a number.
        name: Name,
    },
    /// The number of a parameter that was registered with another optimizer.
    OtherOptimizer {
        /// Its place there.
        param: usize,
    },
    /// The optimizer has no group with this number, or another optimizer gave it out.
    UnknownGroup {
        /// The number.
        group: usize,
    },
    /// A parameter was passed twice in one step. Tied weights are one parameter: add up their gradients.
    PassedTwice {
        /// The parameter's name.
        name: Name,
    },
    /// There is no memory for the state of a parameter.
    NoMemory {
        /// The parameter's name.
        name: Name,
        /// The number of its elements.
        len: usize,
    },
    /// A rule with other state, or to which the numbers in the state mean something else, cannot take the place of a group's rule.
    OtherState {
        /// What made the state that the group has.
        present: StateKind,
        /// What the new rule needs.
        needed: StateKind,
    },
    /// Saved state was made by another rule, or under another convention.
    OtherSaved {
        /// What made it, as it was given.
        found: Name,
        /// What the parameter's rule needs.
        needed: StateKind,
    },
    /// Before the first step of a tensor its state is not what the rule starts from.
    FirstState {
        /// The tensor, as in [`TensorLength`](Self::TensorLength), where there are several.
        tensor: Option<Name>,
        /// The rule's name.
        rule: &'static str,
        /// The name of the state slice.
        slice: &'static str,
        /// The first element that differs.
        element: usize,
        /// What it must be.
        expected: f32,
        /// What it is.
        found: f32,
    },
    /// A run cannot go on under a rule of another kind.
    OtherRule {
        /// The name of the rule so far.
        from: &'static str,
        /// The name of the wanted rule.
        to: &'static str,
    },
    /// A run cannot be carried over to another convention.
    Inconvertible {
        /// The rule's name.
        rule: &'static str,
        /// The option that stands in the way.
        option: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Saved state lacks a slice that the rule has, or has one that the rule lacks.
    SavedState {
        /// The parameter's name.
        param: Name,
        /// The name of the slice.
        slice: Name,
        /// The slots that the rule has.
        expected: &'static [Slot],
    },
    /// No rule is registered under this name.
    UnknownRule {
        /// The name that was asked for.
        name: Name,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// The rule has no preset of this name.
    UnknownPreset {
        /// The rule's name.
        rule: &'static str,
        /// The name that was asked for.
        preset: Name,
        /// The presets that it has.
        known: &'static [&'static str],
    },
    /// No backend has this name.
    UnknownBackend {
        /// The name that was asked for.
        name: Name,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// The backend exists, but not in this build or on this machine.
    MissingBackend {
        /// Its name.
        name: Name,
    },
}

impl Error {
    /// Says which tensor a length is about.
    pub(crate) fn of_tensor(self, name: impl FnOnce() -> Name) -> Self {
        match self {
            Self::Length { slice, expected, found } => {
                Self::TensorLength { tensor: name(), slice, expected, found }
            }
            Self::FirstState { tensor: None, rule, slice, element, expected, found } => {
                Self::FirstState { tensor: Some(name()), rule, slice, element, expected, found }
            }
            Self::NeedsPass { .. } => Self::NeedsPass { tensor: Some(name()) },
            other => other,
        }
    }
}

impl core::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { slice, expected, found } => {
                write!(f, "{slice} has {found} elements where there are {expected} parameters")
            }
            Self::TensorLength { tensor, slice, expected, found } => {
                write!(
                    f,
                    "tensor {tensor}: {slice} has {found} elements where there are {expected} parameters"
                )
            }
            Self::TooManySlices { found, most } => {
                write!(f, "{found} state slices were given, and a tensor holds at most {most}")
            }
            Self::StateCount { rule, expected, found } => {
                write!(f, "{rule} needs {} state slices (", expected.len())?;
                list_slots(f, expected)?;
                write!(f, ") and was given {found}")
            }
            Self::SlotOrder { rule } => {
                write!(
                    f,
                    "{rule}: slots with an element for each parameter come before those about the whole tensor"
                )
            }
            Self::KernelState { rule, named, taken } => {
                write!(f, "{rule} names {named} state slices, but its kernel takes {taken}")
            }
            Self::Rows { tensor, rows, len } => {
                write!(f, "tensor {tensor} has {len} elements, which {rows} rows do not divide evenly")
            }
            Self::ShardOffset { tensor, offset, block } => {
                write!(f, "the shard of {tensor} begins at {offset}, which is not a multiple of {block}")
            }
            Self::Pass { tensor, reason } => write!(f, "tensor {tensor}: {reason}"),
            Self::NeedsPass { tensor } => {
                f.write_str("the tensor ")?;
                tensor.iter().try_for_each(|name| write!(f, "{name} "))?;
                f.write_str("has something that only a pass looks at (16 bits, more gradients, an average, a copy, telemetry, rows, a shard's offset): call step_pass")
            }
            Self::NoEffect { option, needs } => {
                write!(f, "the pass has {option}, and no tensor of the list has {needs}")
            }
            Self::FormatBounds { tensor, slice, format, low, high } => {
                write!(f, "tensor {tensor}: {slice} are {format}, with no number between {low} and {high}")
            }
            Self::Bounds { low, high } => write!(f, "there is nothing between the bounds {low} and {high}"),
            Self::StepZero => f.write_str("steps count from 1, and step 0 was asked for"),
            Self::FlushedSubnormals => {
                f.write_str(
                    "this thread flushes subnormal numbers to zero (FTZ or DAZ is set), which gives other bits than elsewhere; \
                     `Workers::flushing_host` takes the step all the same",
                )
            }
            Self::EmptyBatch => f.write_str("a mini-batch must have 1 sample or more, and 0 was asked for"),
            Self::OutOfRange { rule, option, value, domain } if domain.contains(value) => {
                write!(f, "{rule}: {option} must be {domain}, and {value:e} is {} in f32", value as f32)
            }
            Self::OutOfRange { rule, option, value, domain } => {
                write!(f, "{rule}: {option} must be {domain}, and is {value}")
            }
            Self::Conflict { rule, reason } => write!(f, "{rule}: {reason}"),
            Self::UnknownOption { rule, option, nearest, known } => {
                write!(f, "{rule} has no option {option}")?;
                meant(f, nearest)?;
                f.write_str("; it has ")?;
                list(f, known.iter().map(|option| option.name))
            }
            Self::WrongValue { rule, option, found, expected, nearest } => {
                write!(f, "{rule}: {option} takes {expected}, and was given {found}")?;
                meant(f, nearest)
            }
            Self::DuplicateName { name } => write!(f, "there is a parameter {name} already"),
            Self::UnknownParam { name } => write!(f, "the optimizer has no parameter {name}"),
            Self::OtherOptimizer { param } => {
                write!(f, "parameter #{param} was registered with another optimizer")
            }
            Self::UnknownGroup { group } => write!(f, "the optimizer has no group {group}"),
            Self::PassedTwice { name } => write!(f, "parameter {name} was passed twice in one step"),
            Self::NoMemory { name, len } => {
                write!(f, "there is no memory for the state of parameter {name}, which has {len} elements")
            }
            Self::OtherState { present, needed } => {
                write!(f, "the group's state was made by {present} (")?;
                list_slots(f, present.slots)?;
                write!(f, ") and the rule needs that of {needed} (")?;
                list_slots(f, needed.slots)?;
                f.write_str(")")?;
                see_convert(f, present.rule == needed.rule)
            }
            Self::OtherSaved { found, needed } => {
                write!(f, "the saved state was made by {found}, and the parameter needs that of {needed}")?;
                see_convert(f, found.as_str().split('/').next() == Some(needed.rule))
            }
            Self::FirstState { tensor, rule, slice, element, expected, found } => {
                if let Some(tensor) = tensor {
                    write!(f, "tensor {tensor}: ")?;
                }
                write!(
                    f,
                    "before its first step, element {element} of {slice} must be {expected} for {rule}, and is {found}; \
                     init_state writes the state that a rule starts from"
                )
            }
            Self::OtherRule { from, to } => write!(f, "a run under {from} cannot be carried over to {to}"),
            Self::Inconvertible { rule, option, reason } => {
                write!(f, "{rule}: {option} cannot be converted: {reason}")
            }
            Self::SavedState { param, slice, expected } => {
                write!(f, "parameter {param}: {slice} is missing or superfluous, the state is (")?;
                list_slots(f, expected)?;
                f.write_str(")")
            }
            Self::UnknownRule { name, known } => {
                write!(f, "there is no rule {name}; there are ")?;
                list(f, known)
            }
            Self::UnknownPreset { rule, preset, known } => {
                write!(f, "{rule} has no preset {preset}; it has ")?;
                list(f, known)
            }
            Self::UnknownBackend { name, known } => {
                write!(f, "there is no backend {name}; there are ")?;
                list(f, known)
            }
            Self::MissingBackend { name } => write!(f, "this build or this machine has no backend {name}"),
        }
    }
}

fn meant(f: &mut fmt::Formatter<'_>, nearest: Option<&str>) -> fmt::Result {
    nearest.map_or(Ok(()), |nearest| write!(f, " (did you mean {nearest}?)"))
}

fn see_convert(f: &mut fmt::Formatter<'_>, one_rule: bool) -> fmt::Result {
    if one_rule { f.write_str("; `convert` carries a run over to another convention") } else { Ok(()) }
}

fn list_slots(f: &mut fmt::Formatter<'_>, slots: &[Slot]) -> fmt::Result {
    list(f, slots.iter().map(|slot| slot.name))
}
