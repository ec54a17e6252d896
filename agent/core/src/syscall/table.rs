//! Numbers, names and signatures of the machine's native syscalls.

#[cfg(target_arch = "aarch64")]
use super::table_aarch64::ROWS;
#[cfg(target_arch = "x86_64")]
use super::table_x86_64::ROWS;

/// Number, name, and one letter for each argument:
///
/// | letter | argument |
/// |---|---|
/// | `f` | file descriptor |
/// | `D` | directory descriptor of an *at call: may be `AT_FDCWD` |
/// | `d` | `int` or `long`, signed |
/// | `l` | file offset, signed 64 bits |
/// | `u` | size or count, unsigned |
/// | `i` | user or group id, unsigned 32 bits or -1 |
/// | `x` | flags |
/// | `o` | file mode |
/// | `s` | NUL-terminated string that the call reads |
/// | `p` | other pointer |
pub(super) type Row = (u32, &'static str, &'static str);

/// Name and signature of a number.
pub(super) fn row(nr: u32) -> Option<&'static Row> {
    ROWS.binary_search_by_key(&nr, |r| r.0).ok().and_then(|i| ROWS.get(i))
}

/// All rows, by number.
pub(super) fn rows() -> &'static [Row] {
    ROWS
}

/// Name of a native syscall, as strace spells it; `None` for a number that this table doesn't have.
pub fn name(nr: u32) -> Option<&'static str> {
    row(nr).map(|r| r.1)
}

/// Number of a native syscall by its name; `None` where this architecture has none of that name.
pub fn number(name: &str) -> Option<u32> {
    ROWS.iter().find(|r| r.1 == name).map(|r| r.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::MAX_NR;

    #[test]
    fn rows_are_sorted_unique_and_well_formed() {
        for pair in ROWS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{pair:?}");
        }
        for (nr, name, signature) in ROWS {
            assert!(*nr < MAX_NR, "{name}");
            assert!(signature.len() <= 6, "{name}");
            assert!(signature.bytes().all(|c| b"fDdluixosp".contains(&c)), "{name}: {signature}");
            assert_eq!(number(name), Some(*nr), "{name} stands twice");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_are_those_of_the_x86_64_abi() {
        assert_eq!(name(0), Some("read"));
        assert_eq!(number("connect"), Some(42));
        assert_eq!(number("clone3"), Some(435));
        assert_eq!(name(511), None);
    }
}
