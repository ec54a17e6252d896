//! A recording tells, byte for byte, the story that was told live; a damaged one is told up to its damage.

use std::fs;
use std::path::Path;
use std::process::{ExitCode, Output};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::tempdir;
use tracenet_tests::agent::{Agent, clean_environment, command};
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Netns;
use tracenet_tests::program::Program;
use tracenet_tests::{case, load};

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_replay_tells_the_live_story_byte_for_byte, LAB),
        case!(a_command_is_recorded_and_told_as_text, LAB),
        case!(a_damaged_recording_is_told_up_to_the_damage, LAB),
        case!(a_recording_explains_what_was_explained_live, LAB),
        case!(explain_says_what_it_needs, &[]),
    ])
}

fn replay(file: &Path, options: &[&str]) -> Output {
    command().arg("replay").arg(file).args(options).output().expect("tracenet runs")
}

/// Turns over a loopback that loses packets, attached to and recorded. Returns the live story's lines.
fn play(recording: &Path) -> Vec<u8> {
    let netns = Netns::new("record");
    netns.nft("add table ip lossy");
    netns.nft("add chain ip lossy in { type filter hook input priority 0; }");
    netns.nft("add rule ip lossy in tcp dport 8001 numgen inc mod 40 == 7 counter drop");
    let mut server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 3, 60, (200, 4000), 5);
    let path = recording.to_str().expect("a path in ASCII");
    let agent = Agent::attach(&[client.pid(), server.pid()], &["--record", path]);
    client.say("go");
    load::books(&client.json(), "local");
    let story = agent.stop();
    client.finish();
    server.finish();
    let drops: u64 = story.kind("drop").len() as u64;
    assert!(drops > 0, "the rule dropped nothing");
    story.text()
}

fn a_replay_tells_the_live_story_byte_for_byte() {
    let folder = tempdir().expect("a folder");
    let file = folder.path().join("run.tnrec");
    let live = play(&file);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o600, "it holds what the processes said");
    let again = replay(&file, &["--json"]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(again.stdout == live, "the replay differs from the live story");
}

fn a_command_is_recorded_and_told_as_text() {
    let folder = tempdir().expect("a folder");
    let (file, story) = (folder.path().join("run.tnrec"), folder.path().join("story"));
    let netns = Netns::new("record");
    let mut server = load::serve(&netns, "127.0.0.1:8001");
    let mut run = netns.command(tracenet_tests::agent::binary());
    clean_environment(&mut run);
    run.args(["run", "-T", "-o"]).arg(&story).arg("--record").arg(&file);
    run.args(["--", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8001; exit 3"]);
    let status = run.status().expect("tracenet runs");
    server.finish();
    assert_eq!(status.code(), Some(3), "the command's own status");
    let again = replay(&file, &["-T"]);
    assert_eq!(again.status.code(), Some(0));
    let live = fs::read(&story).expect("the story is there");
    assert!(String::from_utf8_lossy(&live).contains("connect(3"), "{}", String::from_utf8_lossy(&live));
    assert_eq!(String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&live));
}

fn a_damaged_recording_is_told_up_to_the_damage() {
    let folder = tempdir().expect("a folder");
    let file = folder.path().join("run.tnrec");
    let live = play(&file);
    let whole = fs::read(&file).expect("it is there");
    let cases: [(&str, Vec<u8>, &str); 3] = [
        ("cut", whole[..whole.len() / 2].to_vec(), "cut in the entry at offset"),
        ("long", [&whole[..whole.len() / 2], &[0xff; 64]].concat(), "offset"),
        ("zeros", [&whole[..whole.len() / 2], &[0; 64]].concat(), "offset"),
    ];
    for (name, bytes, why) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("it can be written");
        let told = replay(&path, &["--json"]);
        let stderr = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_eq!(told.status.code(), Some(1), "{name}: {stderr}");
        assert!(stderr.contains(why) && stderr.lines().count() == 1, "{name}: {stderr}");
        assert!(!told.stdout.is_empty() && live.starts_with(&told.stdout), "{name}: the part before is told");
    }
    for (bytes, why) in [(b"nothing".as_slice(), "no recording"), (b"tnrec\r\n\xff----", "another version")] {
        let path = folder.path().join("other");
        fs::write(&path, bytes).expect("it can be written");
        let told = replay(&path, &[]);
        assert_eq!(told.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&told.stderr).contains(why));
    }
    assert_eq!(replay(&folder.path().join("none"), &[]).status.code(), Some(4));
}

/// An explained head: `14:44:42.851203 c3  load[12] turn 7: 812 B asked, ...`
const HEAD: &str = " B asked, ";

fn a_recording_explains_what_was_explained_live() {
    let folder = tempdir().expect("a folder");
    let (file, told) = (folder.path().join("run.tnrec"), folder.path().join("told"));
    let netns = Netns::new("explain");
    netns.nft("add table ip lossy");
    netns.nft("add chain ip lossy in { type filter hook input priority 0; }");
    netns.nft("add rule ip lossy in tcp dport 8001 numgen inc mod 40 == 7 counter drop");
    let mut server = load::serve(&netns, "127.0.0.1:8001");
    let mut client = load::client(&netns, "127.0.0.1:8001", 3, 60, (200, 4000), 5);
    let mut live = command();
    live.args(["explain", "--record"]).arg(&file).arg("-o").arg(&told);
    live.args(["-p", &format!("{},{}", client.pid(), server.pid())]);
    let mut live = Program::start(&mut live);
    live.wait_for_stderr("attached to");
    client.say("go");
    load::books(&client.json(), "local");
    live.signal(Signal::SIGINT);
    assert!(live.wait().success(), "{}", live.stderr());
    client.finish();
    server.finish();

    let live = fs::read_to_string(&told).expect("it was told");
    let again = explain(&file, &[]);
    assert_eq!(again, live, "a replay explains as the live run did");
    let (heads, last) = (live.matches(HEAD).count(), live.lines().last().expect("last words").to_owned());
    assert!(heads > 0, "nothing was lost: {live}");
    assert!(live.contains("again, ") && live.contains("NETFILTER_DROP"), "no proof: {live}");
    assert!(live.contains("(p50 of this endpoint: "), "{live}");
    assert!(last.starts_with(&format!("{heads} of 360 turns explained (")), "{last}");
    assert!(!live.contains(" > 127.0.0.1") && !live.contains("connect("), "only turns: {live}");

    // Every turn once, at either end, with parts that sum.
    let all: Vec<Value> = explain(&file, &["--json", "--slow", "0s"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert_eq!(all.len(), 2 * 3 * 60);
    for turn in &all {
        assert_eq!(turn["schema"], "tracenet.turn/1");
        let parts = turn["parts"].as_object().expect("parts").values();
        let sum: u64 = parts.map(|ns| ns.as_u64().expect("nanoseconds")).sum();
        assert_eq!(turn["duration_ns"].as_u64(), Some(sum), "{turn}");
    }
    // The median of those before, by the books of the lines themselves.
    for role in ["client", "server"] {
        let mut before: Vec<u64> = Vec::new();
        for turn in all.iter().filter(|turn| turn["role"] == role) {
            match turn["p50_ns"].as_u64() {
                None => assert!(before.is_empty(), "{turn}"),
                Some(told) => {
                    before.sort_unstable();
                    let exact = before[before.len().div_ceil(2) - 1];
                    assert!(told.abs_diff(exact) <= exact / 50, "{told} for {exact}: {turn}");
                }
            }
            before.push(turn["duration_ns"].as_u64().expect("a duration"));
        }
    }
    let one = explain(&file, &["--json", "--slow", "0s", "--conn", "c2"]);
    assert!(one.lines().count() > 0 && one.lines().all(|l| l.contains(r#""conn":"c2""#)), "{one}");
    let none = explain(&file, &["--conn", "c999"]);
    assert!(none.starts_with("0 of 0 turns explained."), "{none}");
}

fn explain(file: &Path, options: &[&str]) -> String {
    let done = command().arg("explain").arg(file).args(options).output().expect("tracenet runs");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

fn explain_says_what_it_needs() {
    for (options, why) in [
        (&[][..], "nothing to explain: tracenet explain --pid PID"),
        (&["--conn", "3", "x"], "connections are named c1, c2"),
        (&["-p", "1", "x"], "cannot be used with"),
    ] {
        let done = command().arg("explain").args(options).output().expect("tracenet runs");
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
    assert_eq!(
        command().args(["explain", "/nowhere"]).output().expect("tracenet runs").status.code(),
        Some(4)
    );
}
