//! A recording tells, byte for byte, the story that was told live; a damaged one is told up to its damage.

use std::fs;
use std::path::Path;
use std::process::{ExitCode, Output};

use tempfile::tempdir;
use tracenet_tests::agent::{Agent, clean_environment, command};
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Netns;
use tracenet_tests::{case, load};

fn main() -> ExitCode {
    harness::main(vec![
        case!(a_replay_tells_the_live_story_byte_for_byte, LAB),
        case!(a_command_is_recorded_and_told_as_text, LAB),
        case!(a_damaged_recording_is_told_up_to_the_damage, LAB),
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
