//! A model stepped by the host's own threads: implement `Join`, and gradstep shares the work out among them.
//!
//! ```text
//! cargo run --release --example host_pool
//! ```

use std::{
    error::Error,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use gradstep::{AdamW, Join, Optimizer, Param, Serial, Workers};

/// The host's threads. A real host has a pool that lives on; what counts is that `join` calls `work` on as many of its
/// threads as are free, its caller's among them, and returns when all calls have.
struct Host {
    threads: usize,
    /// How often a thread was set to work, to show that they were.
    calls: AtomicUsize,
}

impl Join for Host {
    fn threads(&self) -> usize {
        self.threads
    }

    fn join(&self, work: &(dyn Fn() + Sync)) {
        self.calls.fetch_add(self.threads, Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// Two large tensors, which are cut into ranges, and many small ones, which are packed together.
fn shapes() -> Vec<usize> {
    [&[1_000_000, 500_000][..], &[64; 100]].concat()
}

/// The parameters after some steps on the sum of their squares.
fn train<J: Join>(join: J) -> Result<Vec<Vec<f32>>, gradstep::Error> {
    let workers = Workers::new(join);
    let mut optimizer = Optimizer::new(AdamW::torch().lr(0.01)?)?;
    let mut params: Vec<Vec<f32>> = shapes().iter().map(|&len| vec![1.0; len]).collect();
    let mut ids = Vec::new();
    for (number, params) in params.iter().enumerate() {
        ids.push(optimizer.register(&format!("tensor {number}"), params.len())?);
    }
    for _ in 0..50 {
        let grads: Vec<Vec<f32>> = params.iter().map(|p| p.iter().map(|x| 2.0 * x).collect()).collect();
        let mut model: Vec<_> = (ids.iter().zip(&mut params).zip(&grads))
            .map(|((&id, params), grads)| Param::new(id, params, grads))
            .collect();
        let report = optimizer.step(&workers, &mut model)?;
        assert_eq!(report.stepped, params.len());
    }
    Ok(params)
}

fn main() -> Result<(), Box<dyn Error>> {
    let host = Host { threads: 3, calls: AtomicUsize::new(0) };
    let alone = train(Serial)?;
    let shared = train(&host)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    let pooled = train(&pool)?;

    let bits = |model: &[Vec<f32>]| model.concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    if bits(&alone) != bits(&shared) || bits(&alone) != bits(&pooled) {
        return Err("the threads changed the bits".into());
    }
    println!("{} tensors, {} elements, 50 steps", alone.len(), alone.concat().len());
    println!("one thread, a host's three threads ({} calls), a rayon pool of two:", host.calls.into_inner());
    println!("the same bits; the first parameter went from 1 to {:.4}", alone[0][0]);
    Ok(())
}
