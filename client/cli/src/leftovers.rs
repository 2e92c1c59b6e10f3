//! What a killed writer of files left beside them. Files are written beside their place and then moved into it; a
//! writer that is killed in between leaves `.NAME.PROCESS.NUMBER` behind, and a key may be in it.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, test_kill_process};

/// Removes what was left beside these files, by writers that are no more. Whether that succeeds is no matter to
/// whoever writes next.
pub(crate) fn sweep(files: &[&Path]) {
    for file in files {
        let (Some(name), Some(folder)) = (file.file_name().and_then(|name| name.to_str()), file.parent())
        else {
            continue;
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let writer = entry.file_name().to_str().and_then(|candidate| writer(name, candidate));
            if writer.is_some_and(is_gone) && is_old(&entry) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

/// The process that left a file of this name beside `name`.
fn writer(name: &str, candidate: &str) -> Option<i32> {
    let rest = candidate.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('.')?;
    let (process, number) = rest.split_once('.')?;
    number.parse::<u32>().ok()?;
    process.parse().ok().filter(|process| *process > 0)
}

fn is_gone(process: i32) -> bool {
    let process = Pid::from_raw(process);
    process.is_some_and(|process| test_kill_process(process) == Err(rustix::io::Errno::SRCH))
}

/// A folder may be shared with a machine that has other processes; no writer takes this long.
fn is_old(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|data| data.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LONG))
}

const LONG: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A process id that nobody has any more.
    fn gone() -> u32 {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn only_what_a_dead_writer_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, age: u64| {
            let path = folder.path().join(name);
            let file = fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
            name.to_owned()
        };
        let (gone, alive) = (gone(), std::process::id());
        let left = put(&format!(".key.pem.{gone}.0"), 3_600);
        let mut kept = [
            put(&format!(".key.pem.{alive}.0"), 3_600),
            put(&format!(".key.pem.{gone}.1"), 0),
            put(&format!(".other.pem.{gone}.0"), 3_600),
            put(&format!(".key.pem.{gone}.0.bak"), 3_600),
            put(".key.pem.0.0", 3_600),
            put("key.pem", 3_600),
        ];
        sweep(&[&folder.path().join("key.pem"), Path::new("/"), Path::new("/no/such/folder/key.pem")]);
        let mut found: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        kept.sort();
        assert_eq!(found, kept, "{left} is gone");
    }
}
