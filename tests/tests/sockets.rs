//! `tracenet sockets` says what ss(8) says, row by row, of some ten thousand sockets of all kinds in three network
//! namespaces, and knows every owner that ss knows.
//!
//! Both are parsed into words. Nothing in the namespaces moves meanwhile but what [`MOVES`] names; so that a timer that
//! ends between two runs is no difference, ss runs before and after, and only what it says twice is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode};

use serde_json::Value;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::{self, Netns};
use tracenet_tests::program::Program;
use tracenet_tests::{agent, case, load, wait_for};

const NEEDS: &[Need] = &[Need::Root, Need::Tool("ip"), Need::Tool("ss")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(rows_are_those_of_ss, NEEDS),
        case!(all_namespaces_are_told_apart, NEEDS),
        case!(expressions_choose_what_they_choose_in_ss, NEEDS),
        case!(what_ss_does_not_say, NEEDS),
        case!(lines_of_json_say_the_same, NEEDS),
        case!(mistakes_are_told_with_their_exit_code, NEEDS),
    ])
}

/// Words whose numbers are other ones in the next run, with the reason.
const MOVES: &[(&str, &str)] = &[
    ("lastsnd:", "time since"),
    ("lastrcv:", "time since"),
    ("lastack:", "time since"),
    ("timer:", "time left; the timer's name and its retransmissions are compared"),
];

/// A namespace with sockets in it.
struct Room {
    netns: Netns,
    says: Value,
    folder: tempfile::TempDir,
    _program: Program,
}

impl Room {
    fn new(scale: u32) -> Self {
        let netns = Netns::new("sockets");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = load::script(&netns, "sockets.py");
        let program = Program::start(command.arg(folder.path()).arg(scale.to_string()));
        let says = program.json();
        Self { netns, says, folder, _program: program }
    }

    fn number(&self, name: &str) -> u64 {
        self.says[name].as_u64().unwrap_or_else(|| panic!("no {name}: {}", self.says))
    }

    fn ss(&self, args: &[&str]) -> Vec<Row> {
        rows(&output(self.netns.command("ss").args(args)))
    }

    fn ours(&self, args: &[&str]) -> Vec<Row> {
        rows(&output(self.inside().arg("sockets").args(args)))
    }

    fn inside(&self) -> Command {
        let mut command = self.netns.command(agent::binary());
        agent::clean_environment(&mut command);
        command
    }

    /// Rows of ss and ours, between two runs of ss that agree.
    fn both(&self, args: &[&str]) -> (Vec<Row>, Vec<Row>) {
        wait_for("ss to say the same twice", || {
            let (before, ours, after) = (self.ss(args), self.ours(args), self.ss(args));
            (before == after).then_some((before, ours))
        })
    }
}

fn output(command: &mut Command) -> String {
    let name = format!("{command:?}");
    netns::stdout_of(&name, &[], command.output().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// A socket's words in order, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    words: Vec<String>,
    owners: BTreeSet<String>,
}

fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = text.lines().filter(|line| !line.trim().is_empty()).map(row).collect();
    // The socket with which the listing program asks, another one in each run, and the kernel's end of it.
    rows.retain(|row| !row.words.iter().any(|word| word.starts_with("4:") || word.starts_with("tcpdiag:")));
    rows.sort();
    rows
}

fn row(line: &str) -> Row {
    let mut owners = BTreeSet::new();
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        if let Some(users) = word.strip_prefix("users:((").and_then(|u| u.strip_suffix("))")) {
            owners.extend(users.split("),(").map(str::to_owned));
        } else {
            words.push(still(word));
        }
    }
    Row { words, owners }
}

/// A word without what moves.
fn still(word: &str) -> String {
    match MOVES.iter().find(|(moves, _)| word.starts_with(moves)) {
        None => word.to_owned(),
        Some(("timer:", _)) => {
            let parts: Vec<&str> = word.split(',').collect();
            format!("{},{}", parts[0], parts[parts.len() - 1])
        }
        Some((name, _)) => (*name).to_owned(),
    }
}

/// Takes words that begin so away.
fn without(rows: &mut [Row], words: &[&str]) {
    for row in rows.iter_mut() {
        row.words.retain(|word| !words.iter().any(|w| word.starts_with(w)));
    }
    rows.sort();
}

fn same(ss: &[Row], ours: &[Row], what: &str) {
    let differ =
        |a: &[Row], b: &[Row]| a.iter().filter(|r| !b.contains(r)).take(5).cloned().collect::<Vec<_>>();
    if ss != ours {
        let (missing, strange) = (differ(ss, ours), differ(ours, ss));
        panic!("{what}: ss {} rows, ours {}\nss: {missing:#?}\nours: {strange:#?}", ss.len(), ours.len());
    }
}

fn rows_are_those_of_ss() {
    let rooms: Vec<Room> = (0..3).map(|_| Room::new(100)).collect();
    let made: u64 = rooms.iter().map(|room| room.number("sockets")).sum();
    assert!(made >= 10_000, "{made} sockets were made");
    let (mut compared, mut owned) = (0, 0);
    for room in &rooms {
        // Names of services, or numbers; queues, owners and states of every kind.
        for args in [
            &["-Htuap"][..],
            &["-Htunap"],
            &["-Htl"],
            &["-Huln"],
            &["-Hx"],
            &["-Hxap"],
            &["-Hnwap"],
            &["-Hwa"],
            &["-H0ap"],
            &["-Hn0ap"],
            &["-Hna", "-A", "tcp,unix_seqpacket,packet"],
            &["-Hn4a"],
            &["-Hn6"],
            &["-Htn"],
            &["-HxaeO"],
            &["-Hxam"],
            &["-H0aemO"],
            &["-HtunapiemoO"],
            &["-HtuapieO"],
            &["-Htunapiemo"],
        ] {
            let (mut ss, mut ours) = room.both(args);
            // ss has no word for a listener that is full, and takes the kernel's device numbers for the C library's.
            without(&mut ours, &["queue-full", "dev:"]);
            without(&mut ss, &["dev:"]);
            same(&ss, &ours, &args.join(" "));
            compared += ss.len();
            owned += ss.iter().filter(|row| !row.owners.is_empty()).count();
        }
        // ss -p knows no owner of a netlink socket, and prints zeros for its cookie. It misses those that the kernel loses
        // between two answers, so that what it has must be among ours, and ours must be all that were made.
        let (mut ss, mut ours) = room.both(&["-Hnapem", "-f", "netlink"]);
        without(&mut ss, &["sk=", "cb="]);
        without(&mut ours, &["ino:", "sk:"]);
        let netlink = room.says["kinds"]["netlink"].as_u64().expect("a number");
        let known = ours.iter().filter(|row| !row.owners.is_empty()).count();
        assert_eq!(known as u64, netlink, "owners of netlink sockets");
        assert!(ss.iter().all(|row| row.owners.is_empty()), "ss has learnt it: compare the owners");
        ours.iter_mut().for_each(|row| row.owners.clear());
        ours.retain(|row| ss.contains(row));
        ours.sort();
        same(&ss, &ours, "netlink");
        // All other families at once.
        let (mut ss, mut ours) = room.both(&["-Hnap"]);
        without(&mut ours, &["queue-full"]);
        ss.retain(|row| row.words[0] != "nl");
        ours.retain(|row| row.words[0] != "nl");
        same(&ss, &ours, "-Hnap");
        // Every socket that the program has is somebody's: it and its children, in one namespace.
        let pid = format!("pid={},", room.number("pid"));
        let its = ss.iter().filter(|row| row.owners.iter().any(|o| o.contains(&pid))).count() as u64;
        assert_eq!(its, room.number("sockets") - netlink);
    }
    println!("{made} sockets, {compared} rows compared, {owned} of them with owners");
}

fn all_namespaces_are_told_apart() {
    let rooms: Vec<Room> = (0..3).map(|_| Room::new(10)).collect();
    // One without a name, which only its process holds.
    let nameless =
        Program::start(Command::new("unshare").args(["--net", "/usr/bin/python3", "-c", NAMELESS]));
    let inode: u64 = nameless.line().parse().expect("an inode number");
    let args = ["-Htuxnap", "--all-netns"];
    let by_netns = || {
        let mut all: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for mut row in rows(&output(agent::command().arg("sockets").args(args))) {
            let netns = row.words.remove(0);
            row.words.retain(|word| word != "queue-full");
            all.entry(netns).or_default().push(row);
        }
        all.values_mut().for_each(|rows| rows.sort());
        all
    };
    for room in &rooms {
        let name = room.netns.path().file_name().expect("a name").to_string_lossy().into_owned();
        let column = format!("{name}[{}]", room.netns.inode());
        let (ss, ours) = wait_for("ss to say the same twice", || {
            let (before, mut ours, after) = (room.ss(&["-Htuxnap"]), by_netns(), room.ss(&["-Htuxnap"]));
            (before == after).then(|| (before, ours.remove(&column).unwrap_or_default()))
        });
        assert!(!ss.is_empty());
        same(&ss, &ours, &column);
    }
    let ours = by_netns().remove(&inode.to_string()).unwrap_or_default();
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert!(ours[0].owners.iter().all(|o| o.contains(&format!("pid={},", nameless.pid()))), "{ours:?}");
}

const NAMELESS: &str = "import os, socket, sys\n\
                        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 4711))\n\
                        print(os.stat('/proc/self/ns/net').st_ino, flush=True); sys.stdin.read()";

fn expressions_choose_what_they_choose_in_ss() {
    let room = Room::new(20);
    let port = room.number("serves");
    let (to, from) = (format!(":{port}"), format!("127.0.0.1:{port}"));
    let folder = format!("unix:{}/unix_st*", room.folder.path().display());
    let mut chosen = 0;
    for (flags, filter) in [
        ("-Htan", "state established"),
        ("-Htan", "state all exclude listening exclude time-wait"),
        ("-Htan", "state connected"),
        ("-Htan", "state synchronized"),
        ("-Htan", "state bucket"),
        ("-Htan", "exclude big"),
        ("-Htuan", "state listening state closed"),
        ("-Htun", "state closed"),
        ("-Htan", &format!("( dport = {to} or sport = {to} ) and dst 127.0.0.0/8")),
        ("-Htan", &format!("sport = {to} or dport = {to} and src [::1]")),
        ("-Htan", &format!("dst {from}")),
        ("-Htuan", &format!("not dst {from} and ! sport {to}")),
        ("-Htuan", "dport >= :40000 and sport < :50000"),
        ("-Htuan", "sport gt 40000 && dport ne 0 | dport le 1024"),
        ("-Htuan", "src 127.0.0.0/8 or dst [::1]"),
        ("-Htuan", "src ::/0"),
        ("-Htan", "dev lo"),
        ("-Htan", "dev != lo"),
        ("-Htuan", "autobound"),
        ("-Htuan", "! autobound"),
        ("-Hxan", "autobound"),
        ("-Hxan", &format!("src {folder}")),
        ("-Haxtn", &format!("src {folder}")),
        ("-H0an", "src link:*:lo"),
        ("-H0an", "src link:arp"),
        ("-Han", "-f netlink src netlink:uevent"),
        ("-Htan", "fwmark = 0x1"),
        ("-Htan", "( ( src 127.0.0.1 ) ) ( not ( dst 127.0.0.1 ) )"),
    ] {
        let args: Vec<&str> = std::iter::once(flags).chain(filter.split(' ')).collect();
        let (ss, mut ours) = room.both(&args);
        without(&mut ours, &["queue-full"]);
        same(&ss, &ours, &args.join(" "));
        chosen += usize::from(!ss.is_empty());
    }
    // All but `fwmark` have something to choose.
    assert!(chosen >= 25, "{chosen} expressions chose anything");
}

fn what_ss_does_not_say() {
    let room = Room::new(4);
    // Two connections wait at a listener whose limit is one.
    let (full, bound) = (room.number("full"), room.number("bound"));
    let listening = room.ours(&["-Htln", "sport", &full.to_string()]);
    assert_eq!(listening.len(), 1);
    assert!(listening[0].words.contains(&"queue-full".to_owned()), "{listening:?}");
    let others = room.ours(&["-Htln", "sport", "!=", &full.to_string()]);
    assert!(!others.is_empty() && others.iter().all(|r| !r.words.contains(&"queue-full".to_owned())));
    // A further SYN is dropped, and the listener counts it.
    let dropped = || {
        let row = &room.ours(&["-HtlniO", "sport", &full.to_string()])[0];
        row.words.iter().find_map(|w| w.strip_prefix("drops:").map(str::to_owned))
    };
    assert_eq!(dropped(), None);
    let connect = format!(
        "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('127.0.0.1', {full}))\n\
         print(1, flush=True); input()"
    );
    let client = Program::start(room.netns.command("/usr/bin/python3").args(["-c", &connect]));
    client.line();
    wait_for("the listener to count a SYN", dropped);
    // A port that is bound, and nothing more.
    let inactive = room.ours(&["-HtBnp"]);
    assert_eq!(inactive.len(), 1, "{inactive:?}");
    assert!(inactive[0].words.contains(&format!("127.0.0.1:{bound}")), "{inactive:?}");
    assert!(inactive[0].owners.len() >= 2, "the program and a child hold it: {inactive:?}");
    let line: Value = serde_json::from_str(&output(room.inside().args(["sockets", "-tB", "--json"])))
        .expect("one line of JSON");
    assert_eq!(line["state"], "bound-inactive", "{line}");
}

fn lines_of_json_say_the_same() {
    let room = Room::new(10);
    let others = room.ss(&["-Hnap"]).iter().filter(|row| row.words[0] != "nl").count();
    let lines: Vec<Value> = output(room.inside().args(["sockets", "--json", "-a"]))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    // Netlink's are compared by their owners: the kernel loses some for ss.
    assert_eq!(lines.iter().filter(|line| line["transport"] != "netlink").count(), others);
    let pid = room.number("pid");
    let mut owned = 0;
    for line in &lines {
        assert_eq!(line["schema"], "tracenet.socket/1");
        assert_eq!(line["netns"], room.netns.inode());
        let holders = line["processes"].as_array().expect("a list");
        owned += u64::from(holders.iter().any(|h| h["pid"] == pid));
        assert_eq!(line["pid"], holders.first().map_or(Value::Null, |h| h["pid"].clone()));
    }
    assert_eq!(owned, room.number("sockets"));
    let full: Vec<&Value> = lines.iter().filter(|l| l["accept_queue"]["full"] == true).collect();
    let ends_with =
        |l: &Value| l["local"].as_str().is_some_and(|a| a.ends_with(&room.number("full").to_string()));
    assert!(full.iter().any(|l| ends_with(l)), "{full:?}");
    let established = |l: &&Value| l["transport"] == "tcp" && l["state"] == "established";
    for line in lines.iter().filter(established) {
        let info = &line["tcp_info"];
        assert!(info["srtt_us"].as_u64() > Some(0) && info["congestion"].is_string(), "{line}");
        assert!(line["memory"]["rcvbuf"].as_u64() > Some(0), "{line}");
    }
}

fn mistakes_are_told_with_their_exit_code() {
    for (args, code, says) in [
        (&["-t", "( dport = :443"][..], 2, "column 1: this parenthesis is never closed"),
        (&["-t", "dport = :443 or sport = :nosuch"], 2, "column 25: nosuch is neither"),
        (&["-t", "state", "open"], 2, "no such state"),
        (&["-A", "nothing"], 2, "unknown kind"),
        (&["-N", "tracenet-no-such"], 4, "ip netns"),
    ] {
        let out = agent::command().arg("sockets").args(args).output().expect("tracenet starts");
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(says), "{args:?}: {error}");
        assert!(out.stdout.is_empty(), "{args:?}");
    }
}
