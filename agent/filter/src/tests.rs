//! What tshark 4.0 does with the same filters, on one made-up packet.

use std::ops::ControlFlow;

use super::*;

struct Table;

/// Names, types; the place is the number.
const FIELDS: &[(&str, FieldType)] = &[
    ("frame", FieldType::Protocol),
    ("frame.number", FieldType::Uint(32)),
    ("frame.time", FieldType::AbsoluteTime),
    ("frame.time_relative", FieldType::RelativeTime),
    ("frame.protocols", FieldType::String),
    ("eth.src", FieldType::Ether),
    ("ip", FieldType::Protocol),
    ("ip.addr", FieldType::Ipv4),
    ("ip.proto", FieldType::Uint(8)),
    ("ipv6.addr", FieldType::Ipv6),
    ("tcp", FieldType::Protocol),
    ("tcp.port", FieldType::Uint(16)),
    ("tcp.srcport", FieldType::Uint(16)),
    ("tcp.dstport", FieldType::Uint(16)),
    ("tcp.flags.syn", FieldType::Bool),
    ("tcp.analysis.retransmission", FieldType::Label),
    ("tcp.window_size_scalefactor", FieldType::Int(32)),
    ("udp.port", FieldType::Uint(16)),
    ("udp.srcport", FieldType::Uint(16)),
];

impl FieldTable for Table {
    fn field(&self, name: &str) -> Option<Field> {
        let at = FIELDS.iter().position(|(n, _)| *n == name)?;
        Some(Field { id: FieldId(u32::try_from(at).unwrap()), kind: FIELDS[at].1 })
    }

    fn names(&self) -> Vec<&str> {
        FIELDS.iter().map(|(n, _)| *n).collect()
    }

    fn named_value(&self, field: FieldId, name: &str) -> Option<u64> {
        (self.field("ip.proto")?.id == field && name == "TCP").then_some(6)
    }

    fn to_utc(&self, _: i64) -> i64 {
        -3600
    }
}

/// IPv4 in IPv4, TCP, from port 80 to 50000.
struct Packet;

const FRAME: &[u8] = b"\x00\x01\x02\x03\x04\x05GET /\x00\xff";
const TCP: &[u8] = &[0, 80, 0xc3, 0x50, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 0, 0, 0, 0, 0, 0];

impl Fields for Packet {
    fn each(&self, field: FieldId, visit: &mut Visit<'_>) -> ControlFlow<()> {
        let name = FIELDS[field.0 as usize].0;
        let values: &[(u32, Value<'_>)] = match name {
            "frame" => &[(1, Value::Bytes(FRAME))],
            "frame.number" => &[(1, Value::Uint(7))],
            // 2024-01-02 02:04:05.5 UTC
            "frame.time" => &[(1, Value::Time(1_704_161_045_500_000_000))],
            "frame.time_relative" => &[(1, Value::Time(250_000_000))],
            "frame.protocols" => &[(1, Value::Str("eth:ethertype:ip:ip:tcp"))],
            "eth.src" => &[(1, Value::Bytes(&[0x02, 0, 0x83, 4, 5, 6]))],
            "ip" => &[(1, Value::Bytes(&[0x45, 0])), (2, Value::Bytes(&[0x46, 0]))],
            "ip.addr" => &[
                (1, Value::Ipv4(0x0a00_0001)),
                (1, Value::Ipv4(0x0a00_0002)),
                (2, Value::Ipv4(0xc0a8_0301)),
                (2, Value::Ipv4(0xc0a8_0302)),
            ],
            "ip.proto" => &[(1, Value::Uint(4)), (2, Value::Uint(6))],
            "tcp" => &[(1, Value::Bytes(TCP))],
            "tcp.port" => &[(1, Value::Uint(80)), (1, Value::Uint(50_000))],
            "tcp.srcport" => &[(1, Value::Uint(80))],
            "tcp.dstport" => &[(1, Value::Uint(50_000))],
            "tcp.flags.syn" => &[(1, Value::Uint(1))],
            "tcp.analysis.retransmission" => &[(1, Value::Label)],
            "tcp.window_size_scalefactor" => &[(1, Value::Int(-2))],
            _ => &[],
        };
        values.iter().try_for_each(|(layer, value)| visit(*layer, *value))
    }
}

fn matches(text: &str) -> bool {
    match Filter::parse(text, &Table) {
        Ok(filter) => filter.matches(&Packet),
        Err(e) => panic!("{e}\n{}", e.pointer()),
    }
}

fn check(true_ones: &[&str], false_ones: &[&str]) {
    for text in true_ones {
        assert!(matches(text), "{text}");
        assert!(!matches(&format!("not ({text})")), "not ({text})");
    }
    for text in false_ones {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn presence_and_logic() {
    assert!(matches("") && matches("  "));
    check(
        &[
            "tcp",
            ".tcp",
            "tcp and ip",
            "tcp && !udp.port",
            "not udp.port",
            "not not tcp",
            "!!tcp",
            "udp.port or tcp",
            "udp.port || tcp and ip",
            "tcp xor udp.port",
            "tcp ^^ ip ^^ frame",
            "(tcp)and(ip)",
            "! tcp.srcport == 81",
            "tcp.flags.syn",
            "tcp.analysis.retransmission",
            "tcp[13]",
            "tcp[19:]",
            "udp.port and tcp or ip",
        ],
        &["udp.port", "not tcp", "tcp and udp.port", "tcp ^^ ip", "tcp[20:]", "tcp[20]"],
    );
}

#[test]
fn several_values_are_compared_as_wireshark_does() {
    check(
        &[
            "tcp.port == 80",
            "tcp.port eq 50000",
            "tcp.port ~= 80",
            "tcp.port !== 80",
            "tcp.port any_ne 80",
            "any tcp.port != 80",
            "any tcp.port === 80",
            "tcp.port != 443",
            "tcp.port ne 443",
            "tcp.port all_ne 443",
            "all tcp.port > 79",
            "tcp.port > 49999",
            "all tcp.port in {80..65535}",
            "tcp.port in {80, 443}",
            "tcp.port in{50000}",
            "udp.port not in {80}",
            "not udp.port == 80",
            "not any tcp.port == 443",
            "tcp.port == tcp.srcport",
            "tcp.srcport < tcp.dstport > 1000",
            "ip.addr#1 == 10.0.0.1",
            "ip.addr#2 == 192.168.3.1",
            "ip.addr#[1-2] == 192.168.3.1",
            "ip.addr#[-1] == 192.168.3.1",
            "ip.addr#[2:] == 192.168.3.1",
            "ip#2",
            "ip#2[0] == 46",
            "tcp.port == ip.proto or tcp",
        ],
        &[
            "tcp.port != 80",
            "tcp.port === 80",
            "all tcp.port == 80",
            "all tcp.port > 80",
            "tcp.port not in {80}",
            "tcp.port in {90 .. 80}",
            "udp.port != 80",
            "udp.port !== 80",
            "udp.port === 80",
            "all udp.port != 80",
            "tcp.srcport < tcp.dstport < 1000",
            "ip.addr#1 == 192.168.3.1",
            "ip.addr#[:1]",
            "ip.addr#0",
            "ip#3",
        ],
    );
}

#[test]
fn numbers_and_calculations() {
    check(
        &[
            "frame.number == 0x7",
            "frame.number == 07",
            "frame.number == 0b111",
            "tcp.srcport == 'P'",
            "tcp.srcport == '\\120'",
            "tcp.srcport == '\\x50'",
            "tcp.srcport == 81 - 1",
            "tcp.srcport == 79+1",
            "tcp.srcport == {40 * 2}",
            "tcp.dstport >= 4 * {tcp.srcport + 3}",
            "tcp.srcport - 81 == -1",
            "tcp.srcport -81 < 0",
            "-frame.number < 0",
            "+frame.number > 0",
            "tcp.srcport / 2 == 40",
            "tcp.srcport % 7 == 3",
            "frame.number & 1",
            "frame.number bitwise_and 1 == 1",
            "frame.number & 3 == 3 && tcp",
            "tcp.port + 1 & 1",
            "frame.number - 1",
            "tcp.window_size_scalefactor == -2",
            "tcp.window_size_scalefactor < 0",
            "ip.proto == TCP",
            "ip.proto == \"TCP\"",
            "tcp.flags.syn == 1",
            "tcp.flags.syn == 2",
            "tcp.flags.syn == True",
            "tcp.flags.syn in {True, False}",
            "tcp.flags.syn > 0",
        ],
        &[
            // A negative number is a large unsigned one.
            "frame.number > -1",
            "frame.number == -1",
            "tcp.srcport / 0 == 40",
            "tcp.srcport % 0 == 0",
            "frame.number - 7",
            "frame.number & 8",
            "tcp.srcport - 81 > 1",
            "tcp.flags.syn == 0",
            "tcp.flags.syn == FALSE",
        ],
    );
}

#[test]
fn bytes_text_and_slices() {
    check(
        &[
            "tcp[13] & 2",
            "tcp[13] & 02 == 2",
            "{tcp[13] & 2} == 2",
            "(tcp[13] & 0x12)",
            "tcp[13] == 12",
            "tcp[13] == 0x12",
            "tcp[13] == :12",
            "tcp[13] == \"\\x12\"",
            "tcp[12:2] & f0:00 == 50:00",
            "tcp[12:2] & 50 == 50",
            "tcp[0:2] == 00:50",
            "tcp[0:2] == 0050",
            "tcp[0:2] == 0.50",
            "tcp[:2] == 00-50",
            "tcp[2-3] == c3:50",
            "tcp[-1] == 0",
            "tcp[-8:2] == 50:12",
            "tcp[-8--7] == 50:12",
            "tcp[0,2-3,-7:1] == 00:c3:50:12",
            "tcp > 00",
            "tcp contains 00:50",
            "frame contains \"GET\"",
            "frame contains 47:45:54",
            "frame contains 47",
            "frame contains 'G'",
            "frame[6:3] == \"GET\"",
            "frame matches \"get\"",
            "frame ~ r\"^.{6}get\\s/\"",
            "frame matches \"\\x00\\xff$\"",
            "frame matches \"GET /\\x00\"",
            "eth.src[2] == 83",
            "eth.src == 02:00:83:04:05:06",
            "eth.src == 0200.8304.0506",
            "eth.src contains 83:04",
            "eth.src & 02:00:00:00:00:00",
            "eth.src[0] & 0x0f == 2",
            "ip.addr[0:2] == c0:a8",
            "frame.protocols == \"eth:ethertype:ip:ip:tcp\"",
            "frame.protocols contains \"tcp\"",
            "frame.protocols[0:3] == \"eth\"",
            "frame.protocols matches \"TCP$\"",
            "upper(frame.protocols) contains \"TCP\"",
            "lower(frame.protocols) matches \"tcp\"",
            "frame.protocols in {\"a\"..\"z\"}",
            "frame[6:3] in {\"GET\", \"PUT\"}",
            "tcp == tcp",
        ],
        &[
            "frame contains \"get\"",
            "frame matches \"(?-i)get\"",
            "frame contains \"\"",
            "frame[100-199] contains \"a\"",
            "frame[-40:2]",
            "tcp[0,100] == 00",
            "tcp[10:100]",
            "eth.src == ff:ff:ff:ff:ff:ff",
            "frame.protocols matches \"(?-i)TCP\"",
            "udp.port or frame contains \"POST\"",
        ],
    );
}

#[test]
fn addresses_and_times() {
    check(
        &[
            "ip.addr == 10.0.0.1",
            "ip.addr == 10.0.0.0/8",
            "ip.addr == 10.99.0.1/8",
            "ip.addr == 0.0.0.0/0",
            "ip.addr in {10.0.0.5 .. 10.0.0.9, 192.168.0.0/16}",
            "ip.addr in {192.168.3.1..192.168.3.9}",
            "ip.addr > 10.0.0.0/8",
            "ip.addr != 172.16.0.0/12",
            "ip.addr & 255.0.0.0",
            "frame.time_relative > 0.1",
            "frame.time_relative > 0.1s",
            "frame.time_relative > -1",
            "frame.time_relative in {0..0.25}",
            "frame.time_relative == 0.25",
            "frame.time_relative > 0.1 + 0.1",
            "frame.time_relative - 1 < 0",
            "-frame.time_relative < 0",
            // Local time is an hour east of Greenwich.
            "frame.time == \"2024-01-02 03:04:05.5\"",
            "frame.time == \"2024-01-02T02:04:05.5Z\"",
            "frame.time < \"Jan 2, 2024 02:04:06 UTC\"",
            "frame.time >= \"2024-01-02\"",
        ],
        &[
            "ip.addr != 10.0.0.0/8",
            "ip.addr < 10.0.0.0/8",
            "ipv6.addr == ::1",
            "ipv6.addr == fe80::/10",
            "frame.time_relative > 0.25",
            "frame.time > \"2100-01-02 03:04:05\"",
        ],
    );
}

#[test]
fn functions() {
    check(
        &[
            "len(frame) == 13",
            "len(tcp) > 3",
            "len (frame.protocols) == 23",
            "len(eth.src) == 6",
            "len(frame.number) == 4",
            "count(tcp.port) == 2",
            "count(ip.addr) > 3",
            "count(ip#2) == 1",
            "string(frame.number) matches \"[13579]$\"",
            "string(ip.addr) matches \"^192\"",
            "string(eth.src) contains \"83:04\"",
            "max(tcp.srcport, tcp.dstport) == 50000",
            "min(tcp.srcport, tcp.dstport) == 80",
            "max(tcp.port) > 80",
            "max(tcp.srcport, udp.srcport) == 80",
            "max(tcp.srcport, 443) == 443",
            "abs(tcp.srcport - tcp.dstport) > 10",
            "abs(frame.time_relative) < 1",
        ],
        &["count(udp.port) == 0", "max(udp.port) >= 0", "min(ip.addr) > 10.0.0.1"],
    );
}

#[test]
fn errors_name_the_column() {
    for (text, column, part) in [
        ("tcp.prot == 3", 1, "tcp.prot is neither a field nor a protocol name (did you mean tcp.port?)"),
        ("ip and tcp.nonsense", 8, "tcp.nonsense is neither a field nor a protocol name"),
        ("é.b", 1, "neither a field"),
        ("ip &&  \"é\" or x", 8, "neither a field"),
        ("frame contains \"é\" or x", 23, "x is neither"),
        ("80 == tcp.port", 1, "field on its left"),
        ("tcp.srcport-tcp.dstport > 1", 1, "space before"),
        ("tcp.port = 80", 10, "=="),
        ("tcp.port == 80 80", 16, "\"80\" was not expected"),
        ("tcp AND ip", 5, "small letters"),
        ("ip and", 7, "ends too early"),
        ("(ip", 4, "\")\" is missing"),
        ("ip)", 3, "\")\" was not expected"),
        ("()", 2, "was not expected"),
        ("tcp.port ==", 12, "ends too early"),
        ("tcp.port == 65536", 13, "65535 at most"),
        ("frame.number == abc", 17, "abc is not a number"),
        ("frame.number == 1.5", 17, "not a number"),
        ("frame.number == \"1\"", 17, "without quotes"),
        ("frame.number == 08", 17, "not a number"),
        ("ip.addr == 10", 12, "not an IPv4 address"),
        ("ip.addr == 1.2.3.4/33", 12, "not an IPv4 address"),
        ("ip.addr == tcp.port", 12, "a number, and cannot be compared"),
        ("eth.src == ff:ff", 12, "six bytes"),
        ("frame contains GET", 16, "double quotes"),
        ("frame contains 0x4745", 16, "not a byte string"),
        ("frame contains \"abc", 16, "closing quote"),
        ("frame contains \"a\\q\"", 18, "escape"),
        ("frame matches \"(\"", 15, "regular expression"),
        ("frame matches get", 15, "double quotes"),
        ("frame matches \"(a{1000}){1000}\"", 15, "regular expression"),
        ("frame matches \"(?=a)\"", 15, "regular expression"),
        ("tcp.port contains 8", 1, "string()"),
        ("tcp.port matches \"8\"", 1, "string()"),
        ("tcp & 1", 1, "slice"),
        ("tcp.flags.syn & 1", 1, "0 or 1 already"),
        ("ip.addr + 1 == 2", 1, "does not work"),
        ("frame.time_relative * 2 > 1", 1, "does not work"),
        ("tcp.analysis.retransmission == 1", 1, "presence"),
        ("tcp.port in {80 443}", 17, "\",\" or \"}\" is missing"),
        ("tcp.port in {80,}", 17, "was not expected"),
        ("tcp.port in {}", 14, "was not expected"),
        ("tcp.port in 80", 13, "\"{\" of a set"),
        ("all tcp", 8, "need a comparison"),
        ("all (tcp.port > 3)", 5, "was not expected"),
        ("len(tcp)", 1, "compared with something"),
        ("len() > 1", 1, "argument"),
        ("len(tcp, ip) > 1", 10, "one argument"),
        ("lenn(tcp) > 1", 1, "no function lenn(): len"),
        ("lower(tcp.port) == 80", 7, "takes a text"),
        ("count(tcp[0]) == 1", 7, "takes a field"),
        ("string(tcp) == \"a\"", 8, "takes a number"),
        ("max(1,2) == 2", 5, "field on its left"),
        ("abs(frame) == 2", 5, "takes a number"),
        ("frame.number[0]", 1, "slice"),
        ("tcp[", 5, "no range"),
        ("tcp[1:2:3]", 9, "no range"),
        ("tcp[a]", 5, "no range"),
        ("ip.addr#-1", 9, "layer"),
        ("tcp.port # 1 == 80", 10, "was not expected"),
        ("frame.time == 1000", 15, "time of day"),
        ("frame.time == \"nonsense\"", 15, "time of day"),
        ("frame.time_relative > 1e-1", 23, "time span"),
        ("${tcp.port}", 1, "macros"),
        ("tcp.port | 1", 10, "||"),
        ("\"tcp\"", 1, "neither a field"),
        ("tcp \u{1}", 5, "control character"),
    ] {
        let error = Filter::parse(text, &Table).expect_err(text);
        assert!(error.message().contains(part), "{text}: {error}");
        assert_eq!(error.column(), column, "{text}: {error}");
        let pointer = error.pointer();
        let caret = pointer.lines().nth(1).expect("two lines");
        assert_eq!(caret.chars().count(), column, "{pointer}");
        assert_eq!(error.to_string(), format!("column {column}: {}", error.message()));
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    for text in [
        format!("{}tcp{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("frame.number == {}1{}", "{".repeat(10_000), "}".repeat(10_000)),
        format!("frame.number == {}", vec!["1"; 10_000].join("+")),
        format!("{}tcp{} == 1", "len(".repeat(1000), ")".repeat(1000)),
        format!("tcp{}", "[0:]".repeat(1000)),
        "x".repeat(MAX_TEXT + 1),
    ] {
        assert!(Filter::parse(&text, &Table).is_err());
    }
    // What needs no nesting may be long.
    assert!(matches(&vec!["tcp"; 6_000].join(" and ")));
    assert!(matches(&format!("{}tcp", "not ".repeat(10_000))));
    assert!(matches(&format!("frame.number == {}7", "- ".repeat(10_000))));
    let ports: Vec<String> = (1..10_000).map(|n| n.to_string()).collect();
    assert!(matches(&format!("tcp.port in {{{}}}", ports.join(","))));
}

#[test]
fn hostile_text_never_panics() {
    const SEEDS: &[&str] = &[
        "tcp.port in {80, 443..65535} and not ip.addr == 10.0.0.0/8",
        "frame[0-3,5:7,-1:] contains \"a\\x00\\\"b\" or tcp[13] & 0x02 == 2",
        "max(tcp.srcport, 443) > 4 * {tcp.dstport -1} % 7 && any ip.addr#[1-2] != 1.2.3.4",
        "frame.time >= \"Jan 2, 2024 03:04:05.678 UTC\" || frame.time_relative < -0.5",
        "string(frame.number) matches r\"^[13579]{1,3}$\" xor lower(frame.protocols) ~ \"tcp|udp\"",
    ];
    const PIECES: &[&str] = &[
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "\\",
        "-",
        "#",
        "..",
        ":",
        "/",
        "é",
        "\u{0}",
        "not ",
        " in ",
        "==",
        "&",
        "999999999999999999999",
        "0x",
        "tcp",
        "len(",
        "-2147483648",
        "2147483647",
        "r\"",
        "\\U0010ffff",
    ];
    // xorshift64*: the same mutations in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or(0) % below.max(1)
    };
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut chars: Vec<char> = SEEDS[round % SEEDS.len()].chars().collect();
        for _ in 0..=random(6) {
            let at = random(chars.len() + 1);
            match random(3) {
                0 => {
                    let end = (at + random(8)).min(chars.len());
                    chars.drain(at..end);
                }
                1 => {
                    let piece = PIECES[random(PIECES.len())];
                    chars.splice(at..at, piece.chars());
                }
                _ => {
                    let end = (at + random(12)).min(chars.len());
                    let copy: Vec<char> = chars[at..end].to_vec();
                    let to = random(chars.len() + 1);
                    chars.splice(to..to, copy);
                }
            }
        }
        let text: String = chars.into_iter().collect();
        match Filter::parse(&text, &Table) {
            Ok(filter) => {
                accepted += 1;
                filter.matches(&Packet);
            }
            Err(e) => {
                assert!(e.column() >= 1 && e.column() <= text.chars().count() + 1, "{text}");
                let _ = e.pointer();
            }
        }
    }
    assert!(accepted > 100, "the mutations reach the evaluator: {accepted}");
}
