//! What a schedule is, and how schedules are combined.

/// What a base learning rate is multiplied by, as a function of the step.
pub trait Schedule {
    /// The factor on the base learning rate at `step`, counted from 0. Any step may be asked for, in any order.
    fn factor(&self, step: u64) -> f64;

    /// The learning rate at `step`, counted from 0.
    fn lr(&self, base: f64, step: u64) -> f64 {
        base * self.factor(step)
    }

    /// The product with another schedule, both at the same step.
    ///
    /// As `torch.optim.lr_scheduler.ChainedScheduler`, where what it chains are factors. PyTorch's `CosineAnnealingLR`
    /// with an `eta_min` isn't one: it works on the last learning rate, and its chain is not a product.
    ///
    /// ```
    /// use gradstep::schedule::{Exponential, Linear, Schedule};
    ///
    /// let schedule = Linear::new(0.5, 1.0, 4)?.times(Exponential::new(0.9)?);
    /// assert_eq!(schedule.factor(2), 0.75 * (0.9 * 0.9));
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    fn times<S: Schedule>(self, other: S) -> Product<Self, S>
    where
        Self: Sized,
    {
        Product(self, other)
    }

    /// This schedule up to step `at`, and from there on `next`, whose steps count from `at`.
    ///
    /// As `torch.optim.lr_scheduler.SequentialLR` and `optax.join_schedules`. Their lists of milestones are calls in a
    /// row: `a.then(10, b).then(30, c)` has `b` from step 10 and `c` from step 30.
    ///
    /// ```
    /// use gradstep::schedule::{Constant, Exponential, Schedule};
    ///
    /// let schedule = Constant::new(0.25)?.then(3, Exponential::new(0.5)?);
    /// assert_eq!([1, 2, 3, 4].map(|step| schedule.factor(step)), [0.25, 0.25, 1.0, 0.5]);
    /// # Ok::<(), gradstep::Error>(())
    /// ```
    fn then<S: Schedule>(self, at: u64, next: S) -> Sequence<Self, S>
    where
        Self: Sized,
    {
        Sequence { first: self, at, next }
    }
}

impl<S: Schedule + ?Sized> Schedule for &S {
    fn factor(&self, step: u64) -> f64 {
        (**self).factor(step)
    }
}

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
