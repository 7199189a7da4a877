//! Everything that a training step does to a parameter, against a naive twin and against numbers by hand.

#[path = "../common/mod.rs"]
mod common;

mod agreement;
mod all_or_nothing;
mod by_hand;
mod cases;
mod errors;
mod model;
mod parts;
mod shards;
mod telemetry;
mod twin;
