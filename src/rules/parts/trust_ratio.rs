//! The trust ratio of LARS and LAMB.

use crate::numbers::math::sqrt;

/// Returns how much larger a tensor's parameters are than its update, both as sums of squares; 1 where there is nothing to
/// compare.
pub(crate) fn trust_ratio(params: f64, update: f64, coefficient: f64, eps: f64) -> f64 {
    if params == 0.0 || update == 0.0 { 1.0 } else { coefficient * sqrt(params) / (sqrt(update) + eps) }
}
