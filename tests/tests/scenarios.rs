//! What is done to turns on purpose is what tracenet blames them on. `make scenarios` prints the whole table.

use std::process::ExitCode;
use std::sync::Mutex;

use tracenet_tests::case;
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::scenario::{Amount, header, run_all, wire};

fn main() -> ExitCode {
    harness::main(vec![case!(the_cause_is_what_the_link_did, LAB)])
}

fn the_cause_is_what_the_link_did() {
    let names: Vec<&str> = wire::ALL.iter().map(|s| s.name).collect();
    let told = Mutex::new((Vec::new(), Vec::new()));
    // They mostly wait.
    let amount = Amount { turns: 100, hurt: 0, most: 100 };
    run_all(&names, &[7], amount, 2, |rows| {
        let mut told = told.lock().expect("nobody panics with it");
        for row in rows.iter() {
            told.0.push(row.to_string());
            let failures = row.failures(false);
            if !failures.is_empty() {
                told.1.push(format!("{}: {}", row.title(), failures.join("; ")));
            }
        }
    });
    let (rows, failed) = told.into_inner().expect("nobody panics with it");
    println!("{}\n{}", header(), rows.join("\n"));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
