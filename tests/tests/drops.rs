//! Every drop on this host is told once, with its reason, place, rule, queue and victim, and as often as the kernel
//! counted it. `make scenarios` does the same at length.

use std::process::ExitCode;

use tracenet_tests::case;
use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::scenario::host::{self, Extent};

fn main() -> ExitCode {
    harness::main(vec![
        case!(rules_of_the_firewall_are_named, LAB),
        case!(rules_are_named_over_ipv6_too, LAB),
        case!(a_full_table_of_connections_is_no_rule, LAB),
        case!(full_queues_tell_how_full, &TC),
        case!(packets_that_nobody_wants_tell_why, LAB),
        case!(a_server_without_a_cpu_waits_for_one, &TASKSET),
    ])
}

const TC: [Need; 6] = needing("tc");
const TASKSET: [Need; 6] = needing("taskset");

const fn needing(tool: &'static str) -> [Need; 6] {
    [LAB[0], LAB[1], LAB[2], LAB[3], LAB[4], Need::Tool(tool)]
}

fn play(names: &[&str], drops: u32) {
    for name in names {
        let scenario = host::ALL.iter().find(|s| s.name == *name).expect("a scenario of this name");
        for row in host::run(scenario, Extent { seed: 1, drops }) {
            println!("{row}");
            let failures = row.failures();
            assert!(failures.is_empty(), "{}: {}", row.title(), failures.join("; "));
        }
    }
}

fn rules_of_the_firewall_are_named() {
    play(&["nft-output", "nft-input", "nft-reject", "nft-forward"], 12);
}

fn rules_are_named_over_ipv6_too() {
    play(&["nft-output-ipv6", "nft-input-ipv6"], 12);
}

fn a_full_table_of_connections_is_no_rule() {
    play(&["conntrack-full"], 20);
}

fn full_queues_tell_how_full() {
    play(&["udp-buffer", "tbf", "accept-queue"], 40);
}

fn packets_that_nobody_wants_tell_why() {
    play(&["ttl", "checksum", "old-timestamp", "no-listener", "rp-filter"], 20);
}

fn a_server_without_a_cpu_waits_for_one() {
    play(&["cpu-starved"], 40);
}
