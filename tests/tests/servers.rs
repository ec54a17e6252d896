//! Real servers and clients of Debian, as they are installed, under tracenet.

use std::process::ExitCode;

use tracenet_tests::agent::Agent;
use tracenet_tests::case;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::netns::Pair;
use tracenet_tests::program::Program;
use tracenet_tests::report::Lost;
use tracenet_tests::wait_for;

const NGINX: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("nginx"), Need::Tool("curl")];
const REDIS: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("redis-server"), Need::Tool("redis-benchmark")];
const IPERF: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("iperf3")];
const SOCAT: &[Need] = &[Need::Root, Need::Bpf, Need::Tool("socat"), Need::Tool("curl")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(nginx_workers_and_curl, NGINX),
        case!(redis_under_its_benchmark, REDIS),
        case!(iperf_bytes_are_exact, IPERF),
        case!(socat_hands_a_socket_to_an_executed_child, SOCAT),
    ])
}

fn wait_for_listener(pair: &Pair, port: u16) {
    wait_for("a listening socket", || {
        pair.server.run("ss", &["-Htln"]).contains(&format!(":{port} ")).then_some(())
    });
}

fn nginx_workers_and_curl() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().display();
    let config = format!(
        "daemon off; worker_processes 2; pid {root}/pid; error_log {root}/error;\n\
         user root; events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {root}/1; proxy_temp_path {root}/2;\n\
         fastcgi_temp_path {root}/3; uwsgi_temp_path {root}/4; scgi_temp_path {root}/5;\n\
         server {{ listen 8080; root {root}; sendfile on; }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), config).expect("a writable folder");
    std::fs::write(folder.path().join("page"), vec![b'p'; 300_000]).expect("a writable folder");
    let nginx = Program::start(
        pair.server
            .command("nginx")
            .arg("-e")
            .arg(folder.path().join("error"))
            .arg("-c")
            .arg(folder.path().join("nginx.conf")),
    );
    wait_for_listener(&pair, 8080);
    // The workers existed before; -f finds them below the master.
    let agent = Agent::attach(&[nginx.pid()], &["-f"]);
    let url = format!("http://{}:8080/page?token=secret", Pair::SERVER);
    for _ in 0..5 {
        let size = pair.client.run("curl", &["-s", "-o", "/dev/null", "-w", "%{size_download}", &url]);
        assert_eq!(size, "300000");
    }
    pair.settle();
    let story = agent.stop();
    let served: Vec<_> = story.summary.connections.iter().filter(|c| c.role == "server").collect();
    assert_eq!(served.len(), 5, "{:?}", story.summary.connections);
    for connection in served {
        assert_ne!(connection.pid, nginx.pid(), "a worker serves, not the master");
        assert_eq!(connection.comm, "nginx");
        assert_eq!(connection.turns, 1);
        assert!(connection.bytes_sent > 300_000, "sendfile is counted: {connection:?}");
        assert!(connection.accept_wait_ns.is_some());
    }
    let asked: Vec<_> = story.kind("turn").iter().map(|t| t["request"].clone()).collect();
    assert_eq!(asked, ["GET /page"; 5], "of each turn, without the query");
    assert_eq!(story.summary.lost, Lost::NOTHING);
}

fn redis_under_its_benchmark() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let redis = Program::start(
        pair.server
            .command("redis-server")
            .args(["--bind", Pair::SERVER, "--port", "6379", "--save", "", "--protected-mode", "no", "--dir"])
            .arg(folder.path()),
    );
    wait_for_listener(&pair, 6379);
    let agent = Agent::attach(&[redis.pid()], &["-e", "trace=none", "--no-packets"]);
    let said = pair.client.run(
        "redis-benchmark",
        &["-h", Pair::SERVER, "-p", "6379", "-n", "5000", "-c", "10", "-t", "set", "-q", "--csv"],
    );
    assert!(said.contains("SET"), "{said}");
    pair.settle();
    let story = agent.stop();
    // 5,000 SETs, and on one connection more the benchmark's own questions.
    let of_ten: u64 = story.summary.connections.iter().map(|c| c.turns).sum();
    assert!((5_000..5_020).contains(&of_ten), "{of_ten} turns: {:?}", story.summary.connections);
    assert!(story.summary.connections.iter().all(|c| c.pid == redis.pid() && c.comm.starts_with("redis")));
    assert_eq!(story.summary.lost.ringbuf, 0);
}

fn iperf_bytes_are_exact() {
    let pair = Pair::new();
    let server = Program::start(pair.server.command("iperf3").args(["-s", "-1", "-B", Pair::SERVER]));
    wait_for_listener(&pair, 5201);
    let agent = Agent::attach(&[server.pid()], &["-e", "trace=none", "-i", "none"]);
    let said = pair.client.run("iperf3", &["-c", Pair::SERVER, "-n", "200M", "-J"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("iperf3 -J prints JSON");
    let received = said["end"]["sum_received"]["bytes"].as_u64().expect("a number");
    pair.settle();
    let story = agent.ended();
    // The data connection begins with the 37 bytes of the test's cookie.
    let data = story.summary.connections.iter().map(|c| c.bytes_received).max();
    assert_eq!(data, Some(received + 37), "{:?}", story.summary.connections);
}

fn socat_hands_a_socket_to_an_executed_child() {
    let pair = Pair::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("answer");
    let answer =
        "while read -r line && [ ${#line} -gt 1 ]; do :; done; printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello'\n";
    std::fs::write(&script, answer).expect("a writable folder");
    // nofork: the shell itself gets the socket as its standard input and output.
    let execute = format!("EXEC:sh {},nofork", script.display());
    let socat =
        Program::start(pair.server.command("socat").args(["TCP-LISTEN:8080,fork,reuseaddr", &execute]));
    wait_for_listener(&pair, 8080);
    let agent = Agent::attach(&[socat.pid()], &["-f"]);
    for _ in 0..4 {
        let body = pair.client.run("curl", &["-s", &format!("http://{}:8080/", Pair::SERVER)]);
        assert_eq!(body, "hello");
    }
    pair.settle();
    let story = agent.stop();
    let served: Vec<_> = story.summary.connections.iter().filter(|c| c.role == "server").collect();
    assert_eq!(served.len(), 4, "{:?}", story.summary.connections);
    for connection in served {
        assert_ne!(connection.pid, socat.pid(), "a child serves: {connection:?}");
        assert_eq!(connection.comm, "sh", "and it runs another program by then: {connection:?}");
    }
}
