//! Everything that a training step does to a parameter, against a naive twin and against numbers by hand.

mod agreement;
mod all_or_nothing;
mod by_hand;
mod cases;
mod errors;
mod factors;
mod model;
mod parts;
mod promises;
mod scaler;
mod settings;
mod shards;
mod telemetry;
mod twin;
