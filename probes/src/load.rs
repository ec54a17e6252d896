//! Loading the object and its programs, one by one.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use aya::maps::Map;
use aya::programs::{BtfTracePoint, Iter, ProgramError, SocketFilter};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};

use crate::abi::drop_class;
use crate::session::{Error, Result};
use crate::spec::{Hook, HookStatus, Options, SPECS, Spec};
use crate::symbols::{KernelTypes, Symbols, VMLINUX_BTF, parse_btf};

pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracenet.bpf.o"));

const REASONS_MAX: usize = 256;
const QUIET_MAX: usize = 16;

/// Drop reasons that tell of no loss: duplicates, packets that were dealt with, copies for packet sockets, queues of
/// sockets that are being torn down.
const QUIET_REASONS: [&str; 17] = [
    "NOT_DROPPED_YET",
    "CONSUMED",
    "QUEUE_PURGE",
    "TCP_OLD_DATA",
    "TCP_OLD_SEQUENCE",
    "TCP_OLD_ACK",
    "TCP_OFOMERGE",
    "TCP_RFC7323_PAWS_ACK",
    "TCP_RESET",
    "TCP_INVALID_SYN",
    "PACKET_SOCK_ERROR",
    "OTHERHOST",
    "UNHANDLED_PROTO",
    "TAP_FILTER",
    "UNIX_DISCONNECT",
    "UNIX_SKIP_OOB",
    "DUP_FRAG",
];

/// Reasons of which the probes know more to tell, by the kind of place that had no room or said no.
const CLASSES: [(u8, &[&str]); 5] = [
    (drop_class::NETFILTER, &["NETFILTER_DROP"]),
    (
        drop_class::QDISC,
        &[
            "QDISC_DROP",
            "QDISC_OVERLIMIT",
            "QDISC_CONGESTED",
            "CAKE_FLOOD",
            "FQ_BAND_LIMIT",
            "FQ_HORIZON_LIMIT",
            "FQ_FLOW_LIMIT",
            "DUALPI2_STEP_DROP",
        ],
    ),
    (drop_class::RECEIVE, &["SOCKET_RCVBUFF", "PROTO_MEM", "TCP_OFO_QUEUE_PRUNE", "TCP_OFO_DROP"]),
    (drop_class::BACKLOG, &["SOCKET_BACKLOG"]),
    (drop_class::ACCEPT, &[LISTEN_OVERFLOW]),
];

/// What a SYN is told as that a listener swallowed because its accept queue was full; the number where the kernel's
/// enum has none.
const LISTEN_OVERFLOW: &str = "TCP_LISTEN_OVERFLOW";
const LISTEN_OVERFLOW_NUMBER: u32 = REASONS_MAX as u32 - 1;

/// Functions that free packets they have dealt with under NOT_SPECIFIED.
const QUIET_FUNCTIONS: [&str; 5] =
    ["tcp_rcv_state_process", "tcp_v4_rcv", "tcp_v6_rcv", "ip6_mc_input", "tcp_child_process"];

/// What loading gives.
pub(crate) struct Loaded {
    pub(crate) ebpf: Ebpf,
    pub(crate) status: Vec<HookStatus>,
    pub(crate) types: KernelTypes,
    pub(crate) symbols: Arc<Symbols>,
}

/// One more than the highest number of a CPU that may come up.
fn cpus() -> u32 {
    let possible = aya::util::nr_cpus().unwrap_or(1024);
    u32::try_from(possible).unwrap_or(u32::MAX)
}

/// Loads the object and every program in it; nothing is attached yet.
pub(crate) fn load(opts: &Options) -> Result<Loaded> {
    let raw = std::fs::read(VMLINUX_BTF).map_err(|source| Error::NoBtf { path: VMLINUX_BTF, source })?;
    let unreadable = |why: String| Error::NoBtf { path: VMLINUX_BTF, source: std::io::Error::other(why) };
    let mut types =
        parse_btf(&raw).ok_or_else(|| unreadable("it is not BTF that this program understands".into()))?;
    let btf = Btf::parse(&raw, aya::Endianness::default()).map_err(|e| unreadable(one_line(&e)))?;
    drop(raw);
    check_capabilities()?;
    lift_memlock();
    let symbols = Symbols::load();

    if !types.drop_reasons.values().any(|name| &**name == LISTEN_OVERFLOW) {
        types.drop_reasons.insert(LISTEN_OVERFLOW_NUMBER, LISTEN_OVERFLOW.into());
    }
    let mut reasons = [0u8; REASONS_MAX];
    for (n, name) in &types.drop_reasons {
        let class = CLASSES.iter().find(|(_, names)| names.contains(&&**name)).map(|(class, _)| *class);
        let quiet = QUIET_REASONS.contains(&&**name).then_some(drop_class::QUIET);
        if let (Some(class), Some(slot)) = (quiet.or(class), reasons.get_mut(*n as usize)) {
            *slot = class;
        }
    }
    let mut quiet_ranges = [0u64; QUIET_MAX * 2];
    for (slot, (start, end)) in quiet_ranges.chunks_exact_mut(2).zip(symbols.ranges(&QUIET_FUNCTIONS)) {
        slot.copy_from_slice(&[start, end]);
    }
    let number = |name: &str| {
        types.drop_reasons.iter().find(|(_, n)| &***n == name).map_or(u32::MAX, |(number, _)| *number)
    };
    let follow = u32::from(opts.follow);
    let lines = u32::from(opts.lines);
    let by_connection = u32::from(opts.by_connection);
    let accounts = u32::from(opts.accounts || opts.wide.is_some());
    let (wide, own) = (u32::from(opts.wide.is_some()), std::process::id());
    let governed = u32::from(opts.governed);
    let string_limit = opts.string_limit.min(4096);
    let describe_fds = u32::from(opts.captures.fd_paths);
    let has_rx_sk = u32::from(types.kfree_skb_params >= 5);
    let has_reset_reason = u32::from(types.send_reset_params >= 4);
    let (not_specified, no_socket) = (number("NOT_SPECIFIED"), number("NO_SOCKET"));
    let listen_overflow = number(LISTEN_OVERFLOW);
    // The function itself is longer than what the compiler put apart of it.
    let of = |name| symbols.ranges(&[name]).into_iter().max_by_key(|(start, end)| end - start);
    let listen_range = of("tcp_rcv_state_process").map_or([0; 2], |(start, end)| [start, end]);
    let conn_request = of("tcp_conn_request").map_or(0, |(start, _)| start);

    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(&btf))
        .allow_unsupported_maps()
        .verifier_log_level(VerifierLogLevel::DISABLE)
        .map_max_entries("bulk", ring_bytes(opts.ring_bytes))
        .map_max_entries("syscall_scratch", cpus())
        .override_global("cfg_follow", &follow, true)
        .override_global("cfg_lines", &lines, true)
        .override_global("cfg_by_connection", &by_connection, true)
        .override_global("cfg_accounts", &accounts, true)
        .override_global("cfg_wide", &wide, true)
        .override_global("cfg_self", &own, true)
        .override_global("cfg_governed", &governed, true)
        .override_global("cfg_first_turns", &opts.first_turns, true)
        .override_global("cfg_string_limit", &string_limit, true)
        .override_global("cfg_describe_fds", &describe_fds, true)
        .override_global("cfg_kfree_skb_has_rx_sk", &has_rx_sk, true)
        .override_global("cfg_send_reset_has_reason", &has_reset_reason, true)
        .override_global("cfg_reasons", &reasons, true)
        .override_global("cfg_quiet_ranges", &quiet_ranges, true)
        .override_global("cfg_reason_not_specified", &not_specified, true)
        .override_global("cfg_reason_no_socket", &no_socket, true)
        .override_global("cfg_reason_listen_overflow", &listen_overflow, true)
        .override_global("cfg_listen_range", &listen_range, true)
        .override_global("cfg_conn_request", &conn_request, true);
    let mut ebpf = loader.load(OBJECT).map_err(|e| match denied(&e) {
        true => Error::NotPermitted { detail: one_line(&e) },
        false => Error::Load(one_line(&e)),
    })?;

    let mut status = Vec::with_capacity(SPECS.len());
    let mut refused = None;
    for spec in &SPECS {
        let error = load_one(&mut ebpf, spec, &btf).err();
        if let Some(e) = &error
            && denied(e)
        {
            refused.get_or_insert_with(|| one_line(e));
        }
        status.push(row(spec, error.as_ref()));
    }
    if status.iter().all(|s| s.error.is_some()) {
        return Err(match refused {
            Some(detail) => Error::NotPermitted { detail },
            None => Error::NothingAttached(status.first().and_then(|s| s.error.clone()).unwrap_or_default()),
        });
    }
    Ok(Loaded { ebpf, status, types, symbols })
}

fn load_one(ebpf: &mut Ebpf, spec: &Spec, btf: &Btf) -> std::result::Result<(), ProgramError> {
    let program = ebpf.program_mut(spec.name).ok_or(ProgramError::NotLoaded)?;
    match spec.hook {
        Hook::TpBtf(tracepoint) => <&mut BtfTracePoint>::try_from(program)?.load(tracepoint, btf),
        Hook::Iter(over) => <&mut Iter>::try_from(program)?.load(over, btf),
        Hook::SocketFilter => <&mut SocketFilter>::try_from(program)?.load(),
    }
}

/// Attaches every loaded tracepoint program that is wanted; what fails is noted in its row.
pub(crate) fn attach(ebpf: &mut Ebpf, status: &mut [HookStatus], wanted: impl Fn(&str) -> bool) {
    for (spec, status) in SPECS.iter().zip(status) {
        if status.error.is_some() || !matches!(spec.hook, Hook::TpBtf(_)) || !wanted(spec.name) {
            continue;
        }
        let attached = ebpf
            .program_mut(spec.name)
            .ok_or(ProgramError::NotLoaded)
            .and_then(<&mut BtfTracePoint>::try_from)
            .and_then(BtfTracePoint::attach);
        if let Err(e) = attached {
            *status = row(spec, Some(&e));
        }
    }
}

fn row(spec: &Spec, error: Option<&ProgramError>) -> HookStatus {
    let remedy = error.map(|e| {
        if denied(e) {
            "run as root, or give CAP_BPF and CAP_PERFMON; a locked-down kernel refuses them too".to_owned()
        } else if matches!(e, ProgramError::Btf(_)) {
            "this kernel doesn't have the hook; a newer one does".to_owned()
        } else {
            "the kernel refused the program; please report it with the kernel's version".to_owned()
        }
    });
    HookStatus {
        name: spec.name,
        hook: spec.label,
        attached: error.is_none(),
        error: error.map(|e| one_line(e)),
        feature: spec.feature,
        remedy,
    }
}

/// Every program of the object, loaded and attached in turn, and let go again.
pub fn doctor() -> Vec<HookStatus> {
    match load(&Options { ring_bytes: 1 << 16, ..Options::default() }) {
        Ok(mut loaded) => {
            attach(&mut loaded.ebpf, &mut loaded.status, |_| true);
            loaded.status
        }
        Err(e) => SPECS
            .iter()
            .map(|spec| HookStatus {
                name: spec.name,
                hook: spec.label,
                attached: false,
                error: Some(e.to_string()),
                feature: spec.feature,
                remedy: Some(e.remedy().to_owned()),
            })
            .collect(),
    }
}

/// A map of the object by name, typed.
pub(crate) fn map<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T>
where
    T: TryFrom<Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).ok_or(Error::Map { map: name, detail: "not in the object".into() })?;
    T::try_from(map).map_err(|e| Error::Map { map: name, detail: one_line(&e) })
}

fn ring_bytes(asked: u32) -> u32 {
    asked.clamp(1 << 16, 1 << 30).next_power_of_two()
}

/// Says which capability is missing before the kernel says EPERM to everything.
fn check_capabilities() -> Result<()> {
    const CAPS: [(u32, &str); 2] = [(38, "CAP_PERFMON"), (39, "CAP_BPF")];
    const SYS_ADMIN: u32 = 21;
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(()) };
    let Some(effective) = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
    else {
        return Ok(());
    };
    let has = |bit: u32| effective >> bit & 1 == 1;
    let missing: Vec<&str> =
        CAPS.iter().filter(|(bit, _)| !has(*bit) && !has(SYS_ADMIN)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::NotPermitted { detail: format!("{} missing", missing.join(" and ")) })
}

/// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK. Failing is fine elsewhere, and told by the load otherwise.
fn lift_memlock() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the struct is valid for the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}

/// True where the kernel said EPERM or EACCES somewhere down the chain.
fn denied(e: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(e);
    while let Some(e) = next {
        if let Some(io) = e.downcast_ref::<io::Error>()
            && io.raw_os_error() == Some(libc::EPERM)
        {
            return true;
        }
        next = e.source();
    }
    false
}

/// The chain of an error in one line, the verifier's log left out.
pub(crate) fn one_line(e: &(dyn StdError + 'static)) -> String {
    let mut out = String::new();
    let mut next = Some(e);
    while let Some(e) = next {
        let text = e.to_string();
        let text = text.lines().next().unwrap_or_default();
        let text = text.split(" Verifier output:").next().unwrap_or_default().trim_end_matches('.');
        if !text.is_empty() && !out.contains(text) {
            if !out.is_empty() {
                out.push_str(": ");
            }
            out.push_str(text);
        }
        next = e.source();
    }
    out
}
