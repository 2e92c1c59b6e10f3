//! What becomes of a panic in a thread of the store engine's own. Nobody catches it there: what it was doing is never
//! done, and whoever waits for that would wait for ever. So the process ends, as with any failure of the store.

use std::{io::Write as _, panic, process, thread};

use super::command::Failure;

/// How the names of such threads begin.
const THREADS: &[&str] = &["sled-io-", "log flusher"];

/// From now on such a panic ends the process.
pub(super) fn end_with_the_store() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        before(panic);
        let thread = thread::current();
        if thread.name().is_some_and(|name| THREADS.iter().any(|begin| name.starts_with(begin))) {
            let _nobody_reads = writeln!(std::io::stderr(), "daypassd: {}", Failure::Store);
            process::exit(i32::from(Failure::Store.code()));
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "the process that the other test looks at"]
    fn panics_in_a_thread_of_the_store() {
        end_with_the_store();
        let caught =
            thread::Builder::new().name("other".to_owned()).spawn(|| panic!("caught")).unwrap().join();
        assert!(caught.is_err());
        let thread = thread::Builder::new().name("sled-io-3".to_owned()).spawn(|| panic!("no space left"));
        let _never = thread.unwrap().join();
    }

    #[test]
    fn a_panic_in_a_thread_of_the_store_ends_the_process() {
        let name = "process::panics::tests::panics_in_a_thread_of_the_store";
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{said}");
        assert!(said.contains("caught") && said.contains("no space left"), "{said}");
        assert!(said.contains("start the broker again"), "{said}");
    }
}
