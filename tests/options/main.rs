//! Options by name: what the frameworks call them, in which order they are set, which contradict each other, and which
//! numbers they take.

mod numbers;
mod order;
mod words;
