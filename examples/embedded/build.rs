//! Tells the device's linker where flash and RAM are, and the program `cost` which rule to measure, and whether in a pass.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        println!("cargo::rerun-if-changed=memory.x");
        println!("cargo::rustc-link-search={}", env::var("CARGO_MANIFEST_DIR")?);
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }
    println!("cargo::rustc-check-cfg=cfg(pass)");
    println!("cargo::rerun-if-env-changed=PASS");
    if env::var_os("PASS").is_some() {
        println!("cargo::rustc-cfg=pass");
    }
    // A preset, such as `Adam::torch`; nothing for an image that takes no step.
    println!("cargo::rerun-if-env-changed=RULE");
    let rule = match env::var("RULE") {
        Ok(preset) => format!("Some(gradstep::{preset}())"),
        Err(_) => "None::<gradstep::Sgd>".to_owned(),
    };
    Ok(fs::write(Path::new(&env::var("OUT_DIR")?).join("rule.rs"), rule)?)
}
