//! serde_json into a buffer that is used again and again.

use serde::Serialize;

/// Appends `value` as JSON.
pub(super) fn append<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    let whole = out.len();
    // It fails for maps with keys that are no strings only, and there are none here.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(whole);
    }
}
