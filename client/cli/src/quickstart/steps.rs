//! The steps of a tour: each is timed, and told as soon as it is over.

use std::time::Instant;

use crate::{
    console::Console,
    failure::Failure,
    paint::{Ink, Text},
    shapes,
};

/// What came of a step that went as expected.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    pub(super) value: T,
    note: String,
    reason: Option<String>,
}

impl<T> Outcome<T> {
    /// It was done.
    pub(super) fn done(value: T, note: impl Into<String>) -> Self {
        Self { value, note: note.into(), reason: None }
    }

    /// It was refused, as it had to be.
    pub(super) fn refused(value: T, reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self { value, note: note.into(), reason: Some(reason.into()) }
    }
}

/// The steps so far.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    console: &'a Console,
    start: Instant,
    steps: Vec<shapes::Step>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(console: &'a Console) -> Self {
        Self { console, start: Instant::now(), steps: Vec::new() }
    }

    /// Takes a step.
    pub(super) async fn take<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<Outcome<T>, Failure>>,
    ) -> Result<T, Failure> {
        let start = Instant::now();
        let outcome = work.await;
        let millis = millis(start);
        let (step, done) = match outcome {
            Ok(Outcome { value, note, reason }) => {
                (shapes::Step { name, ok: true, millis, reason, note }, Ok(value))
            }
            Err(failure) => {
                let reason = failure.reason().map(str::to_owned);
                (shapes::Step { name, ok: false, millis, reason, note: failure.message() }, Err(failure))
            }
        };
        if !self.console.is_json() {
            self.console.line(line(&step))?;
        }
        self.steps.push(step);
        done
    }

    /// Ends the tour: all of it as one document, or its last line.
    pub(super) fn finish(self, ok: bool) -> Result<(), Failure> {
        let tour = shapes::Tour { ok, steps: self.steps, total_millis: millis(self.start) };
        let went = if ok { "all of it as expected" } else { "not as expected" };
        self.console
            .show(&tour, || format!("\n{} steps in {} ms: {went}", tour.steps.len(), tour.total_millis))
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn line(step: &shapes::Step) -> Text {
    let mark = if step.ok { Text::new().then(Ink::Good, "✓") } else { Text::new().then(Ink::Bad, "✗") };
    let note = match (&step.reason, step.ok) {
        (Some(reason), true) => format!("refused, as it must be ({reason}): {}", step.note),
        _ => step.note.clone(),
    };
    mark.then(Ink::Plain, format!(" {:<20} {:>6} ms  {note}", step.name, step.millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arguments::Format, paint::Color};

    #[tokio::test]
    async fn a_step_that_fails_is_told_and_ends_the_tour() {
        let console = Console::new(Format::Text, Color::Never);
        let mut steps = Steps::new(&console);
        let value = steps.take("one", async { Ok(Outcome::done(7, "x")) }).await.unwrap();
        assert_eq!(value, 7);
        let refused = steps.take("two", async { Ok(Outcome::refused((), "caller-dead", "no")) }).await;
        assert!(refused.is_ok());
        let failed = steps.take("three", async { Err::<Outcome<()>, _>(Failure::bad("oh")) }).await;
        assert!(failed.is_err());
        let told: Vec<_> = steps.steps.iter().map(|step| (step.ok, step.reason.as_deref())).collect();
        assert_eq!(told, [(true, None), (true, Some("caller-dead")), (false, None)]);
        assert!(line(&steps.steps[1]).to_string().contains("refused, as it must be (caller-dead): no"));
        assert!(line(&steps.steps[2]).to_string().starts_with("✗ three"));
    }
}
