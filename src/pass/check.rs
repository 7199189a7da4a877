//! What a pass refuses before it changes anything.

use crate::{
    error::Error,
    formats::floats::{Floats, FloatsMut, Grads},
    name::Name,
    numbers::blocks::BLOCK,
    pass::pass::{Pass, ZeroGrads, leave_room},
    sweep::{check::check_rule, erased::ErasedRule},
    tensor::{state::Layout, tensor::Tensor},
};

/// Refuses what cannot be stepped.
pub(super) fn check_model(
    pass: &Pass,
    rule: &dyn ErasedRule,
    step: u64,
    tensors: &mut [Tensor<'_>],
) -> Result<(), Error> {
    check_rule(rule, step)?;
    let layout = Layout::of(rule);
    for (place, tensor) in tensors.iter_mut().enumerate() {
        tensor.begin(step);
        let name = || Name::number(place);
        check_tensor(pass, &layout, tensor, name)?;
        tensor.check_first_state(rule).map_err(|error| error.of_tensor(name))?;
    }
    Ok(())
}

/// Returns whether this pass, with a rule that asks for this state, can step a tensor.
pub(crate) fn check_tensor(
    pass: &Pass,
    layout: &Layout,
    tensor: &Tensor<'_>,
    name: impl Fn() -> Name,
) -> Result<(), Error> {
    tensor.check_state(layout).map_err(|error| error.of_tensor(&name))?;
    check_lengths(tensor, &name)?;
    pass.bounds.map_or(Ok(()), |bounds| check_bounds(tensor, bounds, &name))?;
    let refusal = |reason| Err(Error::Pass { tensor: name(), reason });
    let read_only = matches!(tensor.grads, Grads::Read(_)) || !tensor.extras.more_grads.is_empty();
    if pass.zero_grads != ZeroGrads::Never && read_only {
        return refusal("the pass zeroes gradients, and these, or some of them, were given as read-only");
    }
    if tensor.extras.average.is_some() && pass.average.is_none() {
        return refusal("it has an average, and the pass does not say how to keep it");
    }
    Ok(())
}

/// Returns whether all slices fit the parameters. Those of the state are checked with the rule.
fn check_lengths(tensor: &Tensor<'_>, name: impl Fn() -> Name) -> Result<(), Error> {
    let (expected, extras) = (tensor.len(), &tensor.extras);
    let fits = |slice, found| {
        if found == expected {
            Ok(())
        } else {
            Err(Error::TensorLength { tensor: name(), slice, expected, found })
        }
    };
    fits("grads", tensor.grads.len())?;
    extras.more_grads.iter().try_for_each(|grads| fits("more_grads", grads.len()))?;
    fits("average", extras.average.as_ref().map_or(expected, |average| average.len()))?;
    fits("copy_out", extras.copy.as_ref().map_or(expected, FloatsMut::len))?;
    if let Some(rows) = extras.rows
        && (rows == 0 || !expected.is_multiple_of(rows))
    {
        return Err(Error::Rows { tensor: name(), rows, len: expected });
    }
    let row_len = extras.rows.and_then(|rows| expected.checked_div(rows)).filter(|&len| len > 0);
    let begins_at = |block| {
        if extras.offset.is_multiple_of(block) {
            Ok(())
        } else {
            Err(Error::ShardOffset { tensor: name(), offset: extras.offset, block })
        }
    };
    begins_at(BLOCK).and(begins_at(row_len.unwrap_or(BLOCK)))
}

/// Returns whether bounds have a number between them in each format that the parameters are written in.
fn check_bounds(tensor: &Tensor<'_>, bounds: (f32, f32), name: impl Fn() -> Name) -> Result<(), Error> {
    let written = [("params", Some(&tensor.params)), ("copy_out", tensor.extras.copy.as_ref())];
    written.into_iter().try_for_each(|(slice, floats)| match floats.map(FloatsMut::as_floats) {
        Some(Floats::Half(format, _)) if !leave_room(format.within(bounds)) => {
            let (low, high) = bounds;
            Err(Error::FormatBounds { tensor: name(), slice, format, low, high })
        }
        _ => Ok(()),
    })
}

impl Pass {
    /// Refuses a part of the pass for which no tensor of a list has what it takes.
    pub(crate) fn check_effect<'t, 's: 't>(
        &self,
        tensors: impl Iterator<Item = &'t Tensor<'s>> + Clone,
    ) -> Result<(), Error> {
        let any_has = |part: fn(&Tensor<'_>) -> bool| tensors.clone().any(part);
        let (rows, average) = (
            any_has(|tensor| tensor.extras.rows.is_some()),
            any_has(|tensor| tensor.extras.average.is_some()),
        );
        let parts = [
            ("average", self.average.is_some(), average, "an average"),
            ("centralize", self.centralize, rows, "rows"),
            ("max_norm", self.max_norm.is_some(), rows, "rows"),
        ];
        // Where there are no elements, there is nothing to be done to them.
        let lacks = |&(_, asked, there, _): &(_, bool, bool, _)| {
            asked && !there && any_has(|tensor| !tensor.is_empty())
        };
        let missing = parts.into_iter().find(lacks);
        missing.map_or(Ok(()), |(option, _, _, needs)| Err(Error::NoEffect { option, needs }))
    }
}
