//! Looking at the broker's own answers.

mod explain;

pub(crate) use explain::RecordedRefusal;
