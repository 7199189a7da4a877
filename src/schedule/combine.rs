use super::Schedule;

/// The product of two schedules; [`Schedule::times`] makes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product<A, B>(pub(super) A, pub(super) B);

impl<A: Schedule, B: Schedule> Schedule for Product<A, B> {
    fn factor(&self, step: u64) -> f64 {
        let product = self.0.factor(step) * self.1.factor(step);
        // Kept finite, or a third factor of 0 would make it NaN. Not `min`, which would hide the NaN of a `Lambda`.
        if product > f64::MAX { f64::MAX } else { product }
    }
}

/// One schedule after the other; [`Schedule::then`] makes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequence<A, B> {
    pub(super) first: A,
    pub(super) at: u64,
    pub(super) next: B,
}

impl<A: Schedule, B: Schedule> Schedule for Sequence<A, B> {
    fn factor(&self, step: u64) -> f64 {
        match step.checked_sub(self.at) {
            Some(step) => self.next.factor(step),
            None => self.first.factor(step),
        }
    }
}

/// A function of your own: `f(step)`.
///
/// As `torch.optim.lr_scheduler.LambdaLR`. Its bits are the same on every machine if those of the function are.
///
/// ```
/// use gradstep::schedule::{Lambda, Schedule};
///
/// let schedule = Lambda(|step| if step % 2 == 0 { 1.0 } else { 0.5 });
/// assert_eq!(schedule.lr(0.1, 7), 0.05);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lambda<F>(
    /// The factor at a step, counted from 0.
    pub F,
);

impl<F: Fn(u64) -> f64> Schedule for Lambda<F> {
    fn factor(&self, step: u64) -> f64 {
        (self.0)(step)
    }
}
