//! serde_json into a `String` that is used again and again.

use std::io;

use serde::Serialize;

/// Appends `value` as JSON.
pub(super) fn append<T: Serialize>(value: &T, out: &mut String) {
    let whole = out.len();
    // It fails for maps with keys that are no strings only, and there are none here.
    if serde_json::to_writer(Appender(out), value).is_err() {
        out.truncate(whole);
    }
}

struct Appender<'a>(&'a mut String);

impl io::Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // serde_json writes whole characters.
        let text = std::str::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        self.0.push_str(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
