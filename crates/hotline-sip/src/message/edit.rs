//! A message with some headers changed; every byte that no edit names stays where it was.

use std::borrow::Cow;

use super::{Message, scan};
use crate::{PeerMisbehaved, text::slice};

/// The headers of a message while they are edited. Nothing is copied until something changes.
pub(crate) struct Draft<'a> {
    message: &'a Message,
    /// In the order of the message.
    lines: Vec<Line<'a>>,
    /// Behind the last header.
    added: Vec<(String, Vec<u8>)>,
    is_changed: bool,
}

struct Line<'a> {
    name: &'a [u8],
    /// `None`: taken out.
    value: Option<Cow<'a, [u8]>>,
}

impl<'a> Draft<'a> {
    pub(crate) fn of(message: &'a Message) -> Self {
        let line = |it: &scan::Header| Line {
            name: message.at(it.name),
            value: Some(Cow::Borrowed(message.at(it.value))),
        };
        let lines = message.headers.iter().map(line).collect();
        Self { message, lines, added: Vec::new(), is_changed: false }
    }

    pub(crate) const fn message(&self) -> &'a Message {
        self.message
    }

    /// The values of a header as they are by now, one for each line.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let own = self.lines.iter().filter(move |it| scan::is_named(it.name, name));
        let own = own.filter_map(|it| it.value.as_deref());
        let added = self.added.iter().filter(move |it| it.0.eq_ignore_ascii_case(name));
        own.chain(added.map(|it| it.1.as_slice()))
    }

    /// Gives each value of a header to `edit`: `None` leaves it, `Some(None)` takes the line out.
    /// Says whether one was not left.
    pub(crate) fn edit(
        &mut self,
        name: &str,
        mut edit: impl FnMut(&[u8]) -> Option<Option<Vec<u8>>>,
    ) -> bool {
        let mut hit = false;
        for line in self.lines.iter_mut().filter(|it| scan::is_named(it.name, name)) {
            let Some(edited) = line.value.as_deref().and_then(&mut edit) else { continue };
            hit = true;
            if edited.as_deref() != line.value.as_deref() {
                self.is_changed = true;
                line.value = edited.map(Cow::Owned);
            }
        }
        self.added.retain_mut(|(added, value)| {
            if !added.eq_ignore_ascii_case(name) {
                return true;
            }
            let Some(edited) = edit(value) else { return true };
            hit = true;
            let stays = edited.is_some();
            *value = edited.unwrap_or_default();
            stays
        });
        hit
    }

    pub(crate) fn add(&mut self, name: &str, value: Vec<u8>) {
        self.is_changed = true;
        self.added.push((name.to_owned(), value));
    }

    /// `None`: nothing changed.
    pub(crate) fn finish(self) -> Option<Result<Message, PeerMisbehaved>> {
        let is_changed = self.is_changed;
        is_changed.then(|| Message::parse(&self.write()).map_err(|it| it.why))
    }

    fn write(&self) -> Vec<u8> {
        let bytes = self.message.bytes();
        let mut out = Vec::with_capacity(bytes.len().saturating_add(256));
        let mut at = 0;
        for (header, line) in self.message.headers.iter().zip(&self.lines) {
            let (start, end) = (header.value.place().0, header.value.place().1);
            match &line.value {
                Some(Cow::Borrowed(_)) => (),
                Some(Cow::Owned(value)) => {
                    out.extend_from_slice(slice(bytes, at, start));
                    put(&mut out, value);
                    at = end;
                }
                None => {
                    out.extend_from_slice(slice(bytes, at, header.name.place().0));
                    at = after_line(bytes, end);
                }
            }
        }
        let last = self.message.headers.last().map_or(at, |it| it.value.place().1);
        let head = after_line(bytes, last).max(at);
        out.extend_from_slice(slice(bytes, at, head));
        for (name, value) in &self.added {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            put(&mut out, value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(slice(bytes, head, bytes.len()));
        out
    }
}

/// Where the line after the one with `at` begins.
fn after_line(bytes: &[u8], at: usize) -> usize {
    let rest = slice(bytes, at, bytes.len());
    memchr::memchr(b'\n', rest).map_or(bytes.len(), |it| at.saturating_add(it).saturating_add(1))
}

/// A line break or NUL becomes a space, as in [`MessageBuilder`](crate::MessageBuilder): no value
/// can add a header.
fn put(out: &mut Vec<u8>, value: &[u8]) {
    out.extend(value.iter().map(|it| if matches!(it, b'\r' | b'\n' | 0) { b' ' } else { *it }));
}
