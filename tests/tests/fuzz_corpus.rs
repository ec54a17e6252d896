//! What fuzzing found, looked at again: every file of `fuzz/corpus/TARGET` goes through its function.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tracenet_tests::{fuzz, repository};

/// For one input, which cargo-fuzz makes in milliseconds at most: longer is a hang in the making. A build without
/// optimisation on a machine with other work is a hundred times slower.
const LONGEST: Duration = Duration::from_secs(10);

fn replay(name: &str) {
    let (_, target) = fuzz::TARGETS.iter().find(|(n, _)| *n == name).expect("a target of that name");
    let folder = repository().join("tests/fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let data = std::fs::read(&file).expect("readable");
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| target(&data)));
        assert!(result.is_ok(), "{}", file.display());
        assert!(start.elapsed() < LONGEST, "{}: {:?}", file.display(), start.elapsed());
    }
}

/// A test for each, so that one's failure hides no other's.
macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let mut names = [$(stringify!($name)),*];
            names.sort_unstable();
            assert!(names.iter().eq(fuzz::TARGETS.iter().map(|(name, _)| name)));
        }
    };
}

replays! { core decode filter reader reassembly recording ring round_trip streams syscalls text }
