use crate::rules::adabound::AdaBound;

/// AMSBound: [`AdaBound`] with AMSGrad.
///
/// ```text
/// as AdaBound, with max = max(max, v) in the place of v in the rate
/// ```
///
/// A name for a preset alone: what it returns is an [`AdaBound`].
///
/// **Defaults**: [`paper`](AmsBound::paper) as [`AdaBound::paper`].
///
/// ```
/// use gradstep::{AmsBound, Rule};
///
/// assert_eq!(AmsBound::paper().slots()[2].name, "max_exp_avg_sq");
/// ```
///
/// **Paper**: Luo et al., "Adaptive Gradient Methods with Dynamic Bound of Learning Rate", 2019.
///
/// **Where frameworks differ**: as for AdaBound.
#[derive(Clone, Copy, Debug)]
pub enum AmsBound {}

impl AmsBound {
    /// As the authors' code with `amsbound`.
    #[must_use]
    pub const fn paper() -> AdaBound {
        AdaBound::paper().largest()
    }
}
