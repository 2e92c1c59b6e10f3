//! Where everything that is printed goes through: data to standard output, the rest to standard error, and nothing
//! that could steer a terminal.

use std::{
    fmt::Display,
    fs,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::Path,
};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    arguments::Format,
    failure::{Exit, Failure, advice},
    paint::{Color, Ink, Text},
    progress,
};

/// Does somebody still read what is printed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    /// They have seen enough, as `head` has.
    Gone,
}

/// Where data and words go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    format: Format,
    color: Color,
}

impl Console {
    pub(crate) const fn new(format: Format, color: Color) -> Self {
        Self { format, color }
    }

    /// How many columns data may take: those of the terminal that it goes to. None where it goes into a file or a
    /// pipe, which have no end.
    pub(crate) fn width(&self) -> Option<usize> {
        let stdout = io::stdout();
        stdout.is_terminal().then(|| {
            let size = rustix::termios::tcgetwinsize(stdout).ok().map(|size| usize::from(size.ws_col));
            size.filter(|columns| *columns > 0).unwrap_or(USUAL_WIDTH)
        })
    }

    /// Does somebody look on who wants to know how far it is?
    pub(crate) fn has_onlookers(&self) -> bool {
        self.format == Format::Text && io::stderr().is_terminal()
    }

    /// Is the data for a program?
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints data: as a document, or as the text that says the same.
    pub(crate) fn show<T: Into<Text>>(
        &self,
        data: &impl Serialize,
        text: impl FnOnce() -> T,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.line(text()),
            Format::Json => print(&json(data)?),
        }
    }

    /// Prints lines of a text for people, one part of many.
    pub(crate) fn lines(&self, text: Text) -> Result<Reader, Failure> {
        print_part(&text.render(self.color.on(&io::stdout())))
    }

    /// Prints documents for a program, each in a line.
    pub(crate) fn json_lines<T: Serialize>(&self, documents: &[T]) -> Result<Reader, Failure> {
        let line = |document| serde_json::to_string(document).map(|json| json_plain(&json));
        let lines = documents.iter().map(line).collect::<Result<Vec<_>, _>>();
        print_part(&lines.map_err(|error| Failure::Internal(error.to_string()))?.join("\n"))
    }

    /// Prints a piece of the text for people; lines stay lines.
    pub(crate) fn line(&self, text: impl Into<Text>) -> Result<(), Failure> {
        print(&text.into().render(self.color.on(&io::stdout())))
    }

    /// Says something beside the data.
    pub(crate) fn say(&self, words: impl Display) {
        self.tell(words.to_string());
    }

    /// The same, of which some stands out.
    pub(crate) fn tell(&self, words: impl Into<Text>) {
        progress::clear();
        // Whoever closed standard error does not want to know.
        drop(writeln!(io::stderr(), "{}", words.into().render(self.color.on(&io::stderr()))));
    }

    /// Says why a verb failed, and what to do next: what is known, or else where the verb is explained.
    pub(crate) fn fail(&self, failure: &Failure, verb: &str) {
        let mut shape = failure.shape();
        if shape.error.next.is_none() && failure.exit() == Exit::BadInput {
            shape.error.next =
                Some(format!("mend that and run it again; `daypass {verb} --help` has examples"));
        }
        if self.is_json() {
            progress::clear();
            let json = serde_json::to_string(&shape).unwrap_or_default();
            drop(writeln!(io::stderr(), "{}", json_plain(&json)));
            return;
        }
        let shape = shape.error;
        let told = Text::new().then(Ink::Bad, shape.kind);
        let why = match (&shape.reason, shape.refusal) {
            (Some(reason), Some(at)) => format!(": {} ({reason}, revision {at})", shape.message),
            (Some(reason), None) => format!(": {} ({reason})", shape.message),
            (None, _) => format!(": {}", shape.message),
        };
        self.tell(told.then(Ink::Plain, why));
        if let Some(next) = shape.next {
            self.tell(Text::new().then(Ink::Strong, "next").then(Ink::Plain, format!(": {next}")));
        }
    }

    /// Refuses to go on where somebody is to be asked, and nobody is there.
    pub(crate) fn must_ask(&self) -> Result<(), Failure> {
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(());
        }
        Err(Failure::bad("this asks before it acts, and there is no terminal to ask on")
            .then("add --yes if that is what you want"))
    }

    /// Asks a person; anything but `yes` is a no. Without a terminal there is nobody to ask.
    pub(crate) fn ask(&self, question: &str) -> Result<bool, Failure> {
        self.must_ask()?;
        let _still = progress::hold();
        drop(write!(io::stderr(), "{} [yes/no] ", plain(question)));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Failure::bad(format!("no answer: {error}")))?;
        Ok(answer.trim() == "yes")
    }

    /// Asks a person, and goes on only with a yes.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.ask(question)? {
            return Ok(());
        }
        self.say("nothing was changed");
        Err(Failure::Interrupted)
    }

    /// Refuses to make a secret that would be lost, because standard output was closed by whoever started this.
    /// A program that is started without it gets an empty device instead, open both ways, as no redirection opens it.
    pub(crate) fn must_be_heard(&self) -> Result<(), Failure> {
        let stdout = io::stdout();
        let mode = rustix::fs::fcntl_getfl(&stdout).map(|flags| flags & rustix::fs::OFlags::RWMODE);
        let place = rustix::fs::fstat(&stdout).map(|found| found.st_rdev);
        let nowhere = rustix::fs::stat("/dev/null").map(|found| found.st_rdev);
        let lost = mode == Ok(rustix::fs::OFlags::RDWR) && place.is_ok() && place == nowhere;
        if lost { Err(unheard("standard output is closed")) } else { Ok(()) }
    }

    /// Prints a secret that is nowhere else. Unlike other data it is lost if nobody reads it.
    pub(crate) fn hand_over(
        &self,
        data: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = match self.format {
            Format::Text => plain(&text()),
            Format::Json => json(data)?,
        };
        progress::clear();
        write_all(&mut io::stdout().lock(), &text).map_err(|error| unheard(&error.to_string()))
    }
}

fn unheard(why: &str) -> Failure {
    Failure::Internal(format!("what was to be printed is lost, for nobody reads it: {why}"))
        .then("run it again with standard output going to a file, a pipe that is read, or a terminal")
}

fn json(data: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(data).map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(json_plain(&json))
}

fn print(text: &str) -> Result<(), Failure> {
    // Whoever reads it may have seen enough.
    print_part(text).map(|_| ())
}

fn print_part(text: &str) -> Result<Reader, Failure> {
    progress::clear();
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(out: &mut impl io::Write, text: &str) -> Result<Reader, Failure> {
    match write_all(out, text) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::Internal(format!("cannot write to standard output: {error}"))),
    }
}

fn write_all(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{newline}").and_then(|()| out.flush())
}

/// Reads a file, or standard input where the name is `-`; at most 64 KiB, into a buffer that is wiped.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::InvalidData => "it is no text".to_owned(),
            _ => error.to_string(),
        };
        Failure::bad(format!("cannot read `{}`: {why}", path.display())).then(advice::on_file(error.kind()))
    };
    let mut text = Zeroizing::new(String::new());
    let source: Box<dyn io::Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(failed)?)
    };
    source.take(LIMIT + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).map_or(true, |length| length > LIMIT) {
        return Err(Failure::bad(format!("`{}` is longer than 64 KiB", path.display())));
    }
    Ok(text)
}

const LIMIT: u64 = 64 * 1024;

/// Of a terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// Could this character move a cursor, change a colour, or turn a line around?
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text for a terminal: lines stay lines, all else that steers is written out.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && c != '\n' {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// A text of somebody else's, as a part of one line: no line of theirs can pass for one of ours.
pub(crate) fn one_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

/// The same for JSON, which has its own way to write such characters; outside strings it has none.
fn json_plain(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && c != '\n' {
            plain.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[31mb\r\u{9b}c\u{202e}d\u{7f}";

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(plain(HOSTILE), "a\\u{1b}[31mb\\r\\u{9b}c\\u{202e}d\\u{7f}");
        assert_eq!(plain("two\nlines, äöü ✓"), "two\nlines, äöü ✓");
        assert_eq!(one_line("one\nnext: \u{1b}[2J"), "one\\nnext: \\u{1b}[2J");
    }

    #[test]
    fn json_means_the_same_without_it() {
        let json = json_plain(&serde_json::to_string_pretty(&[HOSTILE]).unwrap());
        assert!(!json.chars().any(|c| steers(c) && c != '\n'), "{json:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [HOSTILE]);
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        struct Broken(io::ErrorKind);
        impl io::Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(print_to(&mut Broken(io::ErrorKind::BrokenPipe), "x").unwrap(), Reader::Gone);
        assert!(print_to(&mut Broken(io::ErrorKind::StorageFull), "x").is_err());
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "x".repeat(64 * 1024)).unwrap();
        assert!(read(&path).is_ok());
        fs::write(&path, "x".repeat(64 * 1024 + 1)).unwrap();
        assert!(read(&path).is_err());
        assert!(read(&folder.path().join("none")).is_err());
    }
}
