//! What the agent's endpoint says is what the programs, the firewall and the kernel counted.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use tracenet_tests::harness::{self, LAB, Need};
use tracenet_tests::netns::Pair;
use tracenet_tests::node::{ENDPOINT, EVERY_TURN, Node, Sample, samples, sum};
use tracenet_tests::program::Program;
use tracenet_tests::{case, counters, dashboards, load, wait_for};

const SCRAPED: &[Need] = &[
    Need::Root,
    Need::Bpf,
    Need::Tool("ip"),
    Need::Tool("nft"),
    Need::Tool("ss"),
    Need::Tool("promtool"),
    Need::Tool("prometheus"),
    Need::Tool("curl"),
];

fn main() -> ExitCode {
    harness::main(vec![
        case!(metrics_are_what_the_programs_and_the_kernel_counted, LAB),
        case!(requests_of_redis_benchmark_are_counted_exactly, REDIS),
        case!(prometheus_scrapes_the_agent_and_promtool_finds_no_fault, SCRAPED),
    ])
}

const REDIS: &[Need] = &[
    Need::Root,
    Need::Bpf,
    Need::Tool("ip"),
    Need::Tool("ss"),
    Need::Tool("redis-server"),
    Need::Tool("redis-benchmark"),
];

/// All samples once all turns of these services are in and a look at everything has come after that: whole ones are a second
/// apart, so what has not changed for longer is what there is.
fn settled(agent: &Node<'_>, services: &[&str], turns: f64) -> Vec<Sample> {
    let of_services = |all: &[Sample]| {
        let mut all = all.to_vec();
        all.retain(|s| services.iter().any(|name| s.labels.get("service_name").is_some_and(|n| n == name)));
        all
    };
    let mut before = Vec::new();
    let mut since = Instant::now();
    wait_for("the sums to hold all turns and to be at rest", || {
        let all = agent.metrics();
        let now = of_services(&all);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        let count = |role| sum(&before, "tracenet_turn_duration_seconds_count", &[("role", role)]);
        let complete = count("client") >= turns && count("server") >= turns;
        (complete && since.elapsed() > Duration::from_millis(2500)).then_some(all)
    })
}

fn by_label(all: &[Sample], name: &str, label: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for s in all.iter().filter(|s| s.name == name && s.value > 0.0) {
        *found.entry(s.labels.get(label).cloned().unwrap_or_default()).or_default() += s.value;
    }
    found
}

fn metrics_are_what_the_programs_and_the_kernel_counted() {
    const CONNECTIONS: u64 = 20;
    const TURNS: u64 = 50;
    const REFUSED: usize = 5;
    let pair = Pair::new();
    pair.server.lose_incoming("tcp dport 8001 numgen random mod 100 < 3");
    let agent = Node::start(&pair.client, EVERY_TURN);
    let address = format!("{}:8001", Pair::SERVER);
    let mut server = load::serve(&pair.server, &address);
    let mut client = load::client(&pair.client, &address, CONNECTIONS, TURNS, (3_000, 20_000), 21);
    let before = [counters::mib(&pair.client), counters::mib(&pair.server)];
    client.say("go");
    let books = load::books(&client.json(), "local");
    // This test's own process.
    pair.client.inside(|| {
        for _ in 0..REFUSED {
            TcpStream::connect((Pair::SERVER, 8999)).expect_err("nobody listens");
        }
    });
    let own = std::fs::read_link("/proc/self/exe").expect("a path");
    let own = own.file_name().and_then(|name| name.to_str()).expect("a name");
    pair.settle();
    let after = [counters::mib(&pair.client), counters::mib(&pair.server)];
    // The test itself goes on asking for metrics, but it refuses nothing.
    let mut all = settled(&agent, &["load"], (CONNECTIONS * TURNS) as f64);
    let ours = |s: &Sample| s.labels.get("service_name").is_some_and(|name| name == "load" || name == own);
    all.retain(ours);

    let of = |name: &str, labels: &[(&str, &str)]| sum(&all, name, labels);
    let load = ("service_name", "load");
    let turns = |role| of("tracenet_turn_duration_seconds_count", &[load, ("role", role)]);
    assert_eq!((turns("client"), turns("server")), (1000.0, 1000.0));
    let (sent, received) = books.values().fold((0, 0), |sum, b| (sum.0 + b.sent, sum.1 + b.received));
    for direction in ["transmit", "receive"] {
        let bytes = of("process_network_io_bytes_total", &[load, ("network_io_direction", direction)]);
        assert_eq!(bytes, (sent + received) as f64, "either end's bytes of direction {direction}");
    }
    let connections = |role| of("tracenet_tcp_connections_total", &[load, ("role", role)]);
    assert_eq!((connections("client"), connections("server")), (20.0, 20.0));
    let refused: f64 = all
        .iter()
        .filter(|s| s.name == "tracenet_tcp_connections_total" && s.labels.contains_key("error_type"))
        .map(|s| s.value)
        .sum();
    assert_eq!(refused, REFUSED as f64, "connections that failed");
    let again: u64 = before
        .iter()
        .zip(&after)
        .map(|(before, after)| counters::delta(before, after, "TcpRetransSegs"))
        .sum();
    let told = by_label(&all, "tracenet_tcp_retransmits_total", "type");
    assert!(again > 0, "TCP repaired something");
    assert_eq!(told.values().sum::<f64>(), again as f64, "{told:?}");
    let lost = pair.server.nft_counters()["lost"].packets;
    let drops = by_label(&all, "tracenet_packet_drops_total", "reason");
    assert_eq!(drops.get("NETFILTER_DROP").copied().unwrap_or(0.0), lost as f64, "{drops:?}");

    // The other format says the same.
    let (status, open) = agent.get("/metrics", "application/openmetrics-text; version=1.0.0");
    assert!(status == 200 && open.ends_with("# EOF\n"));
    let mut open = samples(&open);
    open.retain(ours);
    for (name, label) in [
        ("tracenet_turn_duration_seconds_count", "role"),
        ("tracenet_tcp_retransmits_total", "type"),
        ("tracenet_packet_drops_total", "reason"),
    ] {
        assert_eq!(by_label(&open, name, label), by_label(&all, name, label), "{name}");
    }
    client.finish();
    server.finish();
    let ended = agent.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

fn requests_of_redis_benchmark_are_counted_exactly() {
    const REQUESTS: u64 = 20_000;
    let pair = Pair::new();
    let agent = Node::start(
        &pair.client,
        "agent: {kubernetes: {enabled: false}}\nexport: {metrics: {interval: 100ms}}\n",
    );
    let mut command = pair.server.command("redis-server");
    command.args(["--bind", Pair::SERVER, "--protected-mode", "no", "--save", "", "--dir", "/"]);
    let _redis = Program::start(&mut command);
    wait_for("redis to listen", || pair.server.run("ss", &["-Htln"]).contains(":6379").then_some(()));
    // In Debian it is a link to another program of redis's, whose name nobody would look for.
    let server = "redis-server";
    // GET alone, after the two CONFIG requests of the benchmark's own first connection.
    pair.client.run(
        "redis-benchmark",
        &["-h", Pair::SERVER, "-c", "10", "-n", &REQUESTS.to_string(), "-t", "get", "-q"],
    );
    let all = settled(&agent, &["redis-benchmark", server], REQUESTS as f64);
    let turns = |name: &str, role: &str| {
        sum(&all, "tracenet_turn_duration_seconds_count", &[("service_name", name), ("role", role)])
    };
    let (asked, answered) = (turns("redis-benchmark", "client"), turns(server, "server"));
    assert_eq!(asked, answered, "each request is answered");
    assert!((0.0..=2.0).contains(&(asked - REQUESTS as f64)), "{asked} turns of {REQUESTS} requests");
    let ended = agent.stop();
    assert!(!ended.stderr.contains("lost"), "{}", ended.stderr);
}

fn prometheus_scrapes_the_agent_and_promtool_finds_no_fault() {
    let pair = Pair::new();
    let agent = Node::start(&pair.client, EVERY_TURN);
    let _server = load::serve(&pair.client, "127.0.0.1:8001");
    let mut client = load::client(&pair.client, "127.0.0.1:8001", 4, 25, (100, 100), 2);
    client.say("go");
    client.json();
    settled(&agent, &["load"], 100.0);

    let text = agent.get("/metrics", "text/plain").1;
    let mut promtool = std::process::Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool starts");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("prometheus.yaml");
    let scrape = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
         scrape_configs: [{{job_name: tracenet, static_configs: [{{targets: ['{ENDPOINT}']}}]}}]\n"
    );
    std::fs::write(&config, scrape).expect("the folder can be written");
    let mut command = pair.client.command("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    let _prometheus = Program::start(command.arg("--web.listen-address=127.0.0.1:9090"));
    let query = "sum(tracenet_turn_duration_seconds_count{role=\"client\",service_name=\"load\"})";
    let ask = |query: &str| -> Option<serde_json::Value> {
        let mut curl = pair.client.command("curl");
        curl.args(["-s", "-G", "http://127.0.0.1:9090/api/v1/query", "--data-urlencode"]);
        let output = curl.arg(format!("query={query}")).output().expect("curl starts");
        serde_json::from_slice(&output.stdout).ok()
    };
    wait_for("Prometheus to have the turns", || {
        (ask(query)?["data"]["result"][0]["value"][1] == "100").then_some(())
    });
    // Which needs series: two of them that match one is told when they do.
    for (place, expression) in dashboards::expressions() {
        let answer = ask(&expression).expect("an answer");
        assert_eq!(answer["status"], "success", "{place}: {expression}: {answer}");
    }
}
