//! What `-f` names: files, folders of them, and standard input.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    file::{Entry, Reading},
    manifest::is_json,
};
use crate::failure::Failure;

/// Reads all objects of all of these.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Entry>, Failure> {
    let mut reading = Reading::default();
    for path in paths {
        if path != Path::new("-") && path.is_dir() {
            for file in folder(path)? {
                add(&mut reading, &file)?;
            }
        } else {
            add(&mut reading, path)?;
        }
    }
    let entries = reading.finish().map_err(Failure::BadInput)?;
    if entries.is_empty() {
        return Err(Failure::bad("there is no object in what was given"));
    }
    Ok(entries)
}

fn add(reading: &mut Reading, path: &Path) -> Result<(), Failure> {
    let (name, text) = text(path)?;
    if is_json(&text) {
        return Err(Failure::bad(format!(
            "`{name}` is JSON, and this reads TOML; `daypass put` takes a single object in JSON"
        )));
    }
    reading.add(name, text);
    Ok(())
}

/// A source with what to call it.
fn text(path: &Path) -> Result<(String, String), Failure> {
    let (name, source): (String, Box<dyn io::Read>) = if path == Path::new("-") {
        ("standard input".into(), Box::new(io::stdin()))
    } else {
        let name = path.display().to_string();
        let file = fs::File::open(path).map_err(|error| unreadable(&name, &error))?;
        (name, Box::new(file))
    };
    let mut text = String::new();
    source.take(LIMIT + 1).read_to_string(&mut text).map_err(|error| unreadable(&name, &error))?;
    if u64::try_from(text.len()).map_or(true, |length| length > LIMIT) {
        return Err(Failure::bad(format!("`{name}` is longer than 8 MiB")));
    }
    Ok((name, text))
}

/// The files of a folder that hold objects, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: io::Error| unreadable(&path.display().to_string(), &error);
    let entries = fs::read_dir(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    if files.is_empty() {
        return Err(Failure::bad(format!("there is no `*.toml` in `{}`", path.display())));
    }
    files.sort();
    Ok(files)
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::bad(format!("cannot read `{name}`: {error}"))
}

const LIMIT: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_toml_files_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let person = |name: &str| format!("[[person]]\nname = \"{name}\"\ncontact = \"x\"\n");
        for (file, name) in [("b.toml", "bea"), ("a.toml", "ada")] {
            fs::write(dir.path().join(file), person(name)).unwrap();
        }
        fs::write(dir.path().join("README"), "not one of them").unwrap();
        let entries = read(&[dir.path().to_path_buf()]).unwrap();
        let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
        assert_eq!(ids, ["person:ada", "person:bea"]);
        let twice = read(&[dir.path().join("a.toml"), dir.path().to_path_buf()]).unwrap_err();
        assert!(twice.message().contains("`person:ada` is there twice"), "{}", twice.message());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let of = |path: &Path| read(&[path.to_path_buf()]).unwrap_err().message();
        assert!(of(dir.path()).contains("there is no `*.toml`"));
        assert!(of(&dir.path().join("none.toml")).contains("cannot read"));
        fs::write(dir.path().join("x.json"), "{\"kind\": \"vendor\"}").unwrap();
        assert!(of(&dir.path().join("x.json")).contains("is JSON"));
        fs::write(dir.path().join("empty.toml"), "# nothing yet\n").unwrap();
        assert!(of(&dir.path().join("empty.toml")).contains("there is no object"));
        fs::write(dir.path().join("big.toml"), "#".repeat(8 * 1024 * 1024 + 1)).unwrap();
        assert!(of(&dir.path().join("big.toml")).contains("longer than 8 MiB"));
    }
}
