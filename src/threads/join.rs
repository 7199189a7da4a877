//! Who else works on a step: nobody, rayon, or the host's own threads. The only file that knows rayon.

/// Calls a piece of work on several threads at once.
///
/// This is all that a host has to supply to have its own pool step a model. A step hands out its parts itself, to
/// whichever call asks next, so that it does not matter how many calls there are, when they start, or whether some
/// never do: threads that come late find less to do, and the caller's thread does what is left. It does so even if
/// [`join`](Join::join) panics: the step is whole then, and the panic is not passed on, unless it is that of a rule.
///
/// ```
/// use gradstep::Join;
///
/// /// A pool that starts its threads anew each time: correct, and slow.
/// struct Scoped(usize);
///
/// impl Join for Scoped {
///     fn threads(&self) -> usize {
///         self.0
///     }
///
///     fn join(&self, work: &(dyn Fn() + Sync)) {
///         std::thread::scope(|scope| {
///             for _ in 1..self.0 {
///                 scope.spawn(work);
///             }
///             work();
///         });
///     }
/// }
/// ```
pub trait Join: Sync {
    /// Returns how many threads there are, the caller's included. The parts are sized by it; 1 means a serial step.
    fn threads(&self) -> usize;

    /// Calls `work` on the caller's thread and on as many others as are free, and returns when all calls have.
    ///
    /// The step's caller may hold locks. If the pool has other tasks as well that take them, this must not wait for threads
    /// that are busy with such a task, nor run one on the caller's thread.
    fn join(&self, work: &(dyn Fn() + Sync));
}

/// The caller's thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Join for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        work();
    }
}

impl<J: Join> Join for &J {
    fn threads(&self) -> usize {
        J::threads(self)
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        J::join(self, work);
    }
}

/// Rayon's current pool: the one in which the calling thread works, or else the global one.
///
/// A caller from outside the pool works along instead of sleeping until it is woken. It costs rayon one small
/// allocation for each further thread; inside the pool (`pool.install`) a step allocates nothing.
///
/// A caller who holds a lock that other tasks of the pool take may wait for ever: see
/// [`Workers::rayon`](crate::Workers::rayon).
#[cfg(feature = "rayon")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Rayon;

#[cfg(feature = "rayon")]
impl Join for Rayon {
    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        if rayon::current_thread_index().is_some() {
            fan_out(self.threads(), work);
        } else {
            rayon::in_place_scope(|scope| spawn_and_work(scope, self.threads(), work));
        }
    }
}

/// A given rayon pool.
#[cfg(feature = "rayon")]
impl Join for rayon::ThreadPool {
    fn threads(&self) -> usize {
        self.current_num_threads()
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        if self.current_thread_index().is_some() {
            fan_out(self.threads(), work);
        } else {
            self.in_place_scope(|scope| spawn_and_work(scope, self.threads(), work));
        }
    }
}

/// From outside the pool. The caller is one of the `threads`.
#[cfg(feature = "rayon")]
fn spawn_and_work<'scope>(scope: &rayon::Scope<'scope>, threads: usize, work: &'scope (dyn Fn() + Sync)) {
    for _ in 1..threads {
        scope.spawn(|_| work());
    }
    work();
}

/// From inside the pool: offers halves to idle threads, and takes back what none of them took.
#[cfg(feature = "rayon")]
fn fan_out(threads: usize, work: &(dyn Fn() + Sync)) {
    if threads <= 1 {
        work();
    } else {
        let half = threads / 2;
        rayon::join(|| fan_out(threads - half, work), || fan_out(half, work));
    }
}
