//! JSON that a terminal can be shown. JSON itself asks for escapes below U+0020 only, which lets through what terminals
//! take for commands as well: DEL and U+0080 to U+009F (U+009B is the CSI of ECMA-48). Here they are escaped, too, which is
//! the same text to whoever parses it.

use std::borrow::Cow;
use std::fmt::Write as _;

use memchr::memchr2;
use serde::Serialize;

/// First byte of U+0080 to U+00BF in UTF-8.
const LEAD: u8 = 0xc2;

/// A piece of JSON, whatever its borders, with DEL and U+0080 to U+009F as `\u00XX`. Such are in strings only.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if memchr2(0x7f, LEAD, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => {
                // A string takes everything.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Appends `value` to a buffer that is used again and again.
///
/// # Errors
/// A map whose keys are no strings, or a `Serialize` that fails: nothing is appended then.
pub fn append<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let whole = out.len();
    serde_json::to_writer(&mut *out, value).inspect_err(|_| out.truncate(whole))?;
    // All of it at once: to look at each key and string costs more than the rest.
    if memchr2(0x7f, LEAD, &out[whole..]).is_some() {
        let safe = escaped(&String::from_utf8_lossy(&out[whole..])).into_owned();
        out.truncate(whole);
        out.extend_from_slice(safe.as_bytes());
    }
    Ok(())
}

/// `value` as a text.
///
/// # Errors
/// As [`append`].
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut out = Vec::with_capacity(128);
    append(value, &mut out)?;
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_commands_and_parsers_the_same_text() {
        let all: String = ('\0'..='\u{17f}').collect();
        let value = serde_json::json!({ &all: [&all, "\u{9b}31m", "plain", "\u{a0}é€😀\u{c2}"], "n": [1, -2.5, null, true] });
        let text = to_string(&value).unwrap();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.contains(r"\u009b31m") && text.contains(r"\u007f") && text.contains("\u{a0}é€😀\u{c2}"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn nothing_else_changes() {
        let value = serde_json::json!({ "a": "\"\\\n\u{1b}[m /é", "b": { "c": [] } });
        assert_eq!(to_string(&value).unwrap(), serde_json::to_string(&value).unwrap());
        assert!(matches!(escaped("as it is, ä"), Cow::Borrowed(_)));
        // A whole text may be treated afterwards as well.
        let text = serde_json::to_string("\u{9b}\u{7f}").unwrap();
        assert_eq!(escaped(&text), to_string("\u{9b}\u{7f}").unwrap());
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let mut out = b"before".to_vec();
        let no_key = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(append(&no_key, &mut out).is_err());
        assert_eq!(out, b"before");
    }
}
