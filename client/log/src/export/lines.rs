//! Lines of an input, as parts of one buffer that never grows.

use std::{
    io::{self, BufRead as _, ErrorKind, Read},
    ops::Range,
};

use super::MAX_LINE;

/// An input, line by line.
pub(super) struct Lines<R> {
    input: R,
    // INVARIANT (room in front): no part begins with the first byte, and the byte before one was handed out already.
    buffer: Box<[u8]>,
    // What has been read and not handed out.
    ahead: Range<usize>,
}

/// What comes next; [`Lines::part`] has the bytes, without the line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// A line, or as much as fits of one that is longer than any may be.
    Line(Range<usize>),
    /// Bytes after the last line's end: they were a line before something cut it.
    Rest(Range<usize>),
    /// Nothing.
    End,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; MAX_LINE + 2].into_boxed_slice(), ahead: 1..1 }
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        let mut searched = 0;
        loop {
            let mut ahead = self.part(&self.ahead).get(searched..).unwrap_or_default();
            let more = ahead.len();
            // It stops behind the line's end, or at the end of what there is.
            let passed = ahead.skip_until(b'\n')?;
            let end = self.ahead.start + searched + passed;
            if passed > 0 && self.part(&(end - 1..end)) == b"\n" {
                let line = self.ahead.start..end - 1;
                self.ahead.start = end;
                return Ok(Next::Line(line));
            }
            searched += more;
            if searched > MAX_LINE {
                return Ok(Next::Line(self.take_all()));
            }
            if self.fill()? == 0 {
                return Ok(if self.ahead.is_empty() { Next::End } else { Next::Rest(self.take_all()) });
            }
        }
    }

    /// The bytes of this part, until the next line is asked for.
    pub(super) fn part(&self, part: &Range<usize>) -> &[u8] {
        self.buffer.get(part.clone()).unwrap_or_default()
    }

    /// The part with a zero before it: what is hashed if it is a leaf (RFC 6962, section 2.1). Copying each entry to where
    /// there is a zero before it would cost a tenth of all.
    pub(super) fn leaf(&mut self, part: &Range<usize>) -> &[u8] {
        let leaf = self.buffer.get_mut(part.start.saturating_sub(1)..part.end).unwrap_or_default();
        if let Some(first) = leaf.first_mut() {
            *first = 0;
        }
        leaf
    }

    fn take_all(&mut self) -> Range<usize> {
        let all = self.ahead.clone();
        self.ahead.start = all.end;
        all
    }

    /// Moves what is there to the front and reads more behind it: how much more.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.ahead.clone(), 1);
        self.ahead = 1..1 + self.ahead.len();
        let free = self.buffer.get_mut(self.ahead.end..).unwrap_or_default();
        let read = loop {
            match self.input.read(free) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ahead.end += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes a few at a time, as a network does.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let (now, later) = self.0.split_at(self.1.min(self.0.len()).min(to.len()));
            to[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    fn all(bytes: &[u8], at_a_time: usize) -> Vec<(&'static str, Vec<u8>)> {
        let mut lines = Lines::new(Drops(bytes, at_a_time));
        let mut found = Vec::new();
        loop {
            match lines.next().unwrap() {
                Next::Line(part) => found.push(("line", lines.part(&part).to_vec())),
                Next::Rest(part) => found.push(("rest", lines.part(&part).to_vec())),
                Next::End => return found,
            }
        }
    }

    #[test]
    fn lines_come_out_whole_however_they_came_in() {
        for at_a_time in [1, 2, 3, 7, 100] {
            let wanted = [("line", &b"ab"[..]), ("line", b""), ("line", b"c\r"), ("rest", b"d")];
            let wanted = wanted.map(|(kind, bytes)| (kind, bytes.to_vec()));
            assert_eq!(all(b"ab\n\nc\r\nd", at_a_time), wanted);
            assert_eq!(all(b"", at_a_time), []);
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_than_the_buffer() {
        let long = vec![b'x'; 2 * MAX_LINE];
        let found: Vec<_> = all(&long, 10_000).into_iter().map(|(kind, bytes)| (kind, bytes.len())).collect();
        assert_eq!(found, [("line", MAX_LINE + 1), ("rest", MAX_LINE - 1)]);
    }
}
