//! Embeds `config/hotline.toml` and the whole of `ivr-flows/`, so that the engine runs without any
//! file beside it.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

const NOT_UTF8: &str = "a path that is not UTF-8";

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here.ancestors().nth(2).ok_or("the crate lies two levels below the root")?;
    let flows = root.join("ivr-flows");
    let config = root.join("config").join("hotline.toml");
    let mut files = Vec::new();
    collect(&flows, &mut files)?;
    files.sort();
    let mut out = String::new();
    let text = config.to_str().ok_or(NOT_UTF8)?;
    writeln!(out, "pub(crate) const CONFIG: &str = include_str!({text:?});")?;
    writeln!(out, "pub(crate) const FILES: &[(&str, &[u8])] = &[")?;
    for file in &files {
        let name = file.strip_prefix(&flows)?.to_str().ok_or(NOT_UTF8)?;
        let path = file.to_str().ok_or(NOT_UTF8)?;
        writeln!(out, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    writeln!(out, "];")?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("embedded.rs"), out)?;
    println!("cargo::rerun-if-changed={}", config.display());
    println!("cargo::rerun-if-changed={}", flows.display());
    Ok(())
}

/// Every file of the bundle; editors' leftovers are not part of it.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if ["yaml", "csv", "wav"].iter().any(|it| path.extension().is_some_and(|e| e == *it))
        {
            files.push(path);
        }
    }
    Ok(())
}
