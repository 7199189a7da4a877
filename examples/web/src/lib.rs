//! gradstep for a web page. The page calls these functions with numbers, and each gives the place of its answer, a text in
//! JSON: what [`answers`] makes, or `{"error": "..."}`. `page/gradstep.js` is the other side.

mod answers;
#[path = "../../picture_book/contour.rs"]
mod contour;
#[path = "../../picture_book/surface.rs"]
mod surface;
#[path = "../../picture_book/walk.rs"]
mod walk;

use std::{cell::RefCell, error::Error};

use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

thread_local! {
    /// The last answer. The page reads it before it calls again.
    static ANSWER: RefCell<String> = const { RefCell::new(String::new()) };
}

fn answer(outcome: Outcome<Value>) -> *const u8 {
    let value = outcome.unwrap_or_else(|error| json!({ "error": error.to_string() }));
    ANSWER.with_borrow_mut(|text| {
        *text = value.to_string();
        text.as_ptr()
    })
}

// SAFETY, of each `no_mangle` here: it is the module's only symbol of that name.

/// How many bytes the last answer has.
#[unsafe(no_mangle)]
pub extern "C" fn answer_len() -> usize {
    ANSWER.with_borrow(String::len)
}

/// What there is to choose from.
#[unsafe(no_mangle)]
pub extern "C" fn about() -> *const u8 {
    answer(Ok(answers::about()))
}

/// The learning rate that suits a rule on a surface.
#[unsafe(no_mangle)]
pub extern "C" fn best(rule: usize, surface: usize) -> *const u8 {
    answer(answers::best(rule, surface))
}

/// A rule's path from a point. An option that is NaN stays as the rule's usual preset has it.
#[unsafe(no_mangle)]
pub extern "C" fn walk(
    rule: usize,
    surface: usize,
    x: f64,
    y: f64,
    lr: f64,
    momentum: f64,
    beta1: f64,
) -> *const u8 {
    let options = [("lr", lr), ("momentum", momentum), ("beta1", beta1)];
    answer(answers::walk(rule, surface, [x, y], options))
}

/// A rule's hash in a scene, and the one in the table.
#[unsafe(no_mangle)]
pub extern "C" fn hash(rule: usize, scene: usize) -> *const u8 {
    answer(answers::hash(rule, scene))
}
