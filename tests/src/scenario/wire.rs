//! What happens on the way between two hosts, and what each end ought to say of it.

use std::collections::HashMap;
use std::time::Duration;

use super::truth::Truth;
use super::{Habit, Judgement, Load, Scenario, Side};
use crate::link::{Action, Link, Path, Plan, Random, Sight, Way};
use Judgement::{Innocent, Suffers, Unclear};

/// All scenarios of the wire.
pub const ALL: &[Scenario] = &[
    Scenario::new("plain", Load::new, plain, ordinary),
    Scenario::new("loss-0.1%", Load::new, loss::<1>, losses),
    Scenario::new("loss-1%", Load::new, loss::<10>, losses),
    Scenario::new("loss-3%", Load::new, loss::<30>, losses),
    Scenario::new("loss-10%", Load::new, loss::<100>, losses),
    Scenario::new("loss-upload", upload, loss::<20>, losses),
    Scenario::new("loss-ipv6", Load::new, loss::<20>, losses).over_ipv6(),
    Scenario::new("tail-loss", Load::new, tail_loss, tail),
    Scenario::new("short-answer-lost", short, tail_loss, lone),
    Scenario::new("burst-loss", Load::new, burst_loss, fast),
    Scenario::new("reordered", Load::new, reordered, innocent).harmless(),
    Scenario::new("duplicated", Load::new, duplicated, innocent).harmless(),
    Scenario::new("ack-loss", Load::new, ack_loss, unharmed).harmless(),
    Scenario::new("blackhole", Load::new, blackhole, timeouts),
    Scenario::new("blackhole-ipv6", Load::new, blackhole, timeouts_ipv6).over_ipv6(),
    Scenario::new("blackhole-forever", few, dead_end, timeouts).prepared(impatient),
    Scenario::new("syn-lost", once, syn_loss, handshakes),
    Scenario::new("syn-refused", wrong_port, plain, refusals),
    Scenario::new("reset", few, resets, resets_hurt),
    Scenario::new("server-aborts", server_aborts, plain, aborted),
    Scenario::new("client-aborts", client_aborts, plain, aborted),
    Scenario::new("zero-window-server", server_late, plain, shut_server),
    Scenario::new("zero-window-client", client_late, plain, shut_client),
    Scenario::new("zero-window-ipv6", client_late, plain, shut_client).over_ipv6(),
    Scenario::new("server-thinks", server_thinks, plain, thinking),
    Scenario::new("client-pauses", client_pauses, plain, pausing),
    Scenario::new("slow-transfer", big, narrow, ordinary),
];

/// One way; so the round trip takes 10 ms.
const DELAY: Duration = Duration::from_millis(5);

const LOSSES: &[&str] = &["loss_fast", "loss_tlp", "loss_rto"];

/// What holds a turn up for less than this share of its time, as a divisor, need not be what it is blamed on.
const SHARE: u64 = 5;

/// A server that has nothing to do answers within this time, nanoseconds, if the machine has a CPU for it.
const PROMPT_NS: u64 = 2_000_000;

// Loads.

fn upload(seed: u64) -> Load {
    Load { request: 30_000, response: 200, ..Load::new(seed) }
}

fn short(seed: u64) -> Load {
    Load { response: 1_000, ..Load::new(seed) }
}

/// Connections that don't live long.
fn few(seed: u64) -> Load {
    Load { turns: 2, workers: 20, ..Load::new(seed) }
}

fn once(seed: u64) -> Load {
    Load { turns: 1, workers: 40, response: 3_000, ..Load::new(seed) }
}

fn wrong_port(seed: u64) -> Load {
    Load { habit: Habit::WrongPort, ..once(seed) }
}

fn server_late(seed: u64) -> Load {
    let pause = Duration::from_millis(300);
    let (habit, receive_buffer) = (Habit::ServerReadsLate, Some(32_768));
    Load { request: 200_000, response: 200, habit, pause, receive_buffer, ..Load::new(seed) }
}

fn client_late(seed: u64) -> Load {
    let (request, response, habit) = (200, 200_000, Habit::ClientReadsLate);
    Load { request, response, habit, ..server_late(seed) }
}

/// More than is on its way or in a buffer when somebody gives up.
fn aborted_by(habit: Habit, seed: u64) -> Load {
    Load { response: 200_000, habit, workers: 6, ..few(seed) }
}

fn server_aborts(seed: u64) -> Load {
    aborted_by(Habit::ServerAborts, seed)
}

fn client_aborts(seed: u64) -> Load {
    aborted_by(Habit::ClientAborts, seed)
}

fn server_thinks(seed: u64) -> Load {
    Load { habit: Habit::ServerThinks, ..Load::new(seed) }
}

fn client_pauses(seed: u64) -> Load {
    Load { habit: Habit::ClientPauses, request: 2_000, ..Load::new(seed) }
}

fn big(seed: u64) -> Load {
    Load { response: 200_000, workers: 4, ..Load::new(seed) }
}

// Links.

fn link(load: &Load, plan: Plan) -> Link {
    Link { delay: DELAY, rate: None, sizes: load.sizes(), seed: load.seed, plan }
}

fn plain(load: &Load) -> Link {
    link(load, Box::new(|_, _| Action::Pass))
}

/// 5 MB/s.
fn narrow(load: &Load) -> Link {
    Link { rate: Some(5_000_000), ..plain(load) }
}

/// So many of a thousand packets, whatever they are.
fn loss<const PERMILLE: u64>(load: &Load) -> Link {
    link(load, Box::new(|_, random| if random.permille(PERMILLE) { Action::Drop } else { Action::Pass }))
}

/// A plan that does `action` to those first copies of a turn that are `meant`, in so many turns of a hundred.
fn in_turns(load: &Load, percent: u64, action: Action, meant: fn(&Sight) -> bool) -> Link {
    let seed = load.seed;
    let plan = move |s: &Sight, _: &mut Random| {
        let hit = !s.again && meant(s) && Random::hits(seed, s.connection, s.turn, percent);
        if hit { action } else { Action::Pass }
    };
    link(load, Box::new(plan))
}

fn tail_loss(load: &Load) -> Link {
    in_turns(load, 50, Action::Drop, |s| s.way == Way::Down && s.last)
}

/// Five segments in the middle of an answer.
fn burst_loss(load: &Load) -> Link {
    in_turns(load, 50, Action::Drop, |s| {
        s.way == Way::Down && s.is_data() && (10_000..17_000).contains(&(s.offset % 30_000))
    })
}

fn reordered(load: &Load) -> Link {
    let late = Action::Late(Duration::from_millis(3));
    link(
        load,
        Box::new(move |s, random| if s.is_data() && random.permille(50) { late } else { Action::Pass }),
    )
}

fn duplicated(load: &Load) -> Link {
    let twice = Action::Twice(Duration::from_millis(1));
    link(load, Box::new(move |_, random| if random.permille(100) { twice } else { Action::Pass }))
}

fn ack_loss(load: &Load) -> Link {
    link(
        load,
        Box::new(|s, random| {
            let bare = !s.is_data() && !s.is_syn();
            if bare && random.permille(300) { Action::Drop } else { Action::Pass }
        }),
    )
}

/// Everything of a connection is lost for `time` from a turn's request on, or from its answer on.
fn hole(load: &Load, percent: u64, time: Duration, answers: bool) -> Link {
    let seed = load.seed;
    let mut dark: HashMap<(u32, u32), u64> = HashMap::new();
    let mut until: HashMap<u32, u64> = HashMap::new();
    let plan = move |s: &Sight, _: &mut Random| {
        let from = if answers && Random::hits(!seed, s.connection, s.turn, 50) { Way::Down } else { Way::Up };
        let begins = s.is_data() && s.way == from && Random::hits(seed, s.connection, s.turn, percent);
        if begins && dark.insert((s.connection, s.turn), s.t).is_none() {
            until.insert(s.connection, s.t.saturating_add(time.as_nanos() as u64));
        }
        if until.get(&s.connection).is_some_and(|until| s.t < *until) { Action::Drop } else { Action::Pass }
    };
    link(load, Box::new(plan))
}

/// The first timeouts come after some 200, 600 and 1,400 ms.
fn blackhole(load: &Load) -> Link {
    hole(load, 30, Duration::from_millis(700), true)
}

/// An answer that is never told would be waited for by the client for ever.
fn dead_end(load: &Load) -> Link {
    hole(load, 50, Duration::from_secs(3_600), false)
}

/// Gives up after some 3 s instead of a quarter of an hour.
fn impatient(path: &Path) {
    for netns in [&path.client, &path.server] {
        netns.run("sysctl", &["-qw", "net.ipv4.tcp_retries2=3"]);
    }
}

/// The SYN, or the SYN/ACK.
fn syn_loss(load: &Load) -> Link {
    let seed = load.seed;
    let plan = move |s: &Sight, _: &mut Random| {
        let way = if Random::hits(!seed, s.connection, 0, 50) { Way::Down } else { Way::Up };
        let hit = s.is_syn() && !s.again && s.way == way && Random::hits(seed, s.connection, 0, 50);
        if hit { Action::Drop } else { Action::Pass }
    };
    link(load, Box::new(plan))
}

/// Somebody on the way ends it in the middle of an answer.
fn resets(load: &Load) -> Link {
    let seed = load.seed;
    let mut done = HashMap::new();
    let plan = move |s: &Sight, _: &mut Random| {
        if done.contains_key(&s.connection) && s.is_data() {
            return Action::Drop;
        }
        let middle = s.way == Way::Down && s.is_data() && s.offset % 30_000 >= 9_000;
        if middle && Random::hits(seed, s.connection, s.turn, 50) {
            done.insert(s.connection, ());
            return Action::Reset;
        }
        Action::Pass
    };
    link(load, Box::new(plan))
}

// Judges.

fn innocent(_: &Truth, _: Side) -> Judgement {
    Innocent
}

/// Nothing but the way there and back. A first turn begins with its handshake, which takes as long.
fn ordinary(t: &Truth, side: Side) -> Judgement {
    match side {
        _ if t.sent_in_vain() || is_noisy(t, Duration::ZERO) => Unclear,
        Side::Client if t.turn == 0 => Suffers(&["network", "connect"]),
        Side::Client => Suffers(&["network"]),
        Side::Server => Innocent,
    }
}

/// The machine was busy with something else: an end took so much longer than it meant to (the server: `thinks`) that
/// this is as good a reason as what was done on purpose.
fn is_noisy(t: &Truth, thinks: Duration) -> bool {
    let most = (t.took_ns * 2 / 5).min(25_000_000);
    t.server_took().saturating_sub(thinks.as_nanos() as u64) > most || t.client_took() > most
}

/// Innocent, unless somebody sent something again for nothing: how much that delayed nobody can say.
fn unharmed(t: &Truth, _: Side) -> Judgement {
    if t.sent_in_vain() { Unclear } else { Innocent }
}

/// By what was lost of the bytes that a side waits for: the client for both ways, the server for the rest of a
/// request that has begun, and for its answer to be acknowledged.
fn lost(t: &Truth, side: Side, causes: &'static [&'static str]) -> Judgement {
    let held = match side {
        Side::Client => t.held(Way::Up).max(t.held(Way::Down)),
        Side::Server if t.begins_late() => t.held(Way::Down),
        // It may not have begun to read while something was missing.
        Side::Server if t.server_took() > PROMPT_NS && t.held(Way::Up) > 0 => return Unclear,
        Side::Server => t.held(Way::Up).max(t.held(Way::Down)),
    };
    let any = t.losses(Way::Up).chain(t.losses(Way::Down)).next().is_some();
    if held > 0 && held >= t.took_ns / SHARE {
        Suffers(causes)
    } else if any || t.sent_in_vain() {
        Unclear
    } else {
        Innocent
    }
}

fn losses(t: &Truth, side: Side) -> Judgement {
    if side == Side::Client && t.handshake_lost() {
        return Suffers(&["connect", "loss_fast", "loss_tlp", "loss_rto"]);
    }
    lost(t, side, LOSSES)
}

/// No later bytes show the hole, so the sender's probe comes. Who waits for it can't tell it from a timeout.
fn tail(t: &Truth, side: Side) -> Judgement {
    match side {
        Side::Client => lost(t, side, &["loss_tlp", "loss_rto"]),
        Side::Server => lost(t, side, &["loss_tlp"]),
    }
}

/// Of a single segment in flight the probe is as late as the timeout (RFC 8985, section 7.2), and either may come.
fn lone(t: &Truth, side: Side) -> Judgement {
    lost(t, side, &["loss_tlp", "loss_rto"])
}

fn fast(t: &Truth, side: Side) -> Judgement {
    lost(t, side, &["loss_fast"])
}

fn timeouts(t: &Truth, side: Side) -> Judgement {
    lost(t, side, &["loss_rto"])
}

/// Without packet numbers who waits can't tell how often what came was lost before: once, and then by a probe, or more often.
fn timeouts_ipv6(t: &Truth, side: Side) -> Judgement {
    match timeouts(t, side) {
        Suffers(_) if side == Side::Client && t.looks_like_thought() => Unclear,
        Suffers(_) if side == Side::Client && t.held(Way::Down) > t.held(Way::Up) => {
            Suffers(&["loss_rto", "loss_tlp"])
        }
        judgement => judgement,
    }
}

fn handshakes(t: &Truth, side: Side) -> Judgement {
    match side {
        Side::Client if t.handshake_lost() => Suffers(&["connect"]),
        _ => Innocent,
    }
}

fn refusals(t: &Truth, side: Side) -> Judgement {
    match (side, &t.error) {
        (Side::Client, Some(_)) => Suffers(&["refused"]),
        // The server never heard of it.
        (Side::Server, Some(_)) => Unclear,
        (_, None) => Innocent,
    }
}

fn resets_hurt(t: &Truth, _: Side) -> Judgement {
    if t.was_reset() { Suffers(&["reset"]) } else { Innocent }
}

/// By one of the ends. Where the machine is busy, a large answer may fill its reader's buffer.
fn aborted(t: &Truth, _: Side) -> Judgement {
    match t {
        _ if t.habit => Suffers(&["reset"]),
        _ if t.window_was_shut() => Unclear,
        _ => Innocent,
    }
}

fn shut(t: &Truth, causes: &'static [&'static str]) -> Judgement {
    match t {
        _ if t.habit => Suffers(causes),
        _ if t.window_was_shut() => Unclear,
        _ => Innocent,
    }
}

fn shut_server(t: &Truth, side: Side) -> Judgement {
    shut(t, if side == Side::Client { &["zero_window_peer"] } else { &["zero_window_local"] })
}

fn shut_client(t: &Truth, side: Side) -> Judgement {
    shut(t, if side == Side::Client { &["zero_window_local"] } else { &["zero_window_peer"] })
}

fn thinking(t: &Truth, side: Side) -> Judgement {
    match side {
        _ if t.sent_in_vain() || is_noisy(t, Duration::from_millis(50)) => Unclear,
        _ if !t.habit => Innocent,
        Side::Client => Suffers(&["peer"]),
        Side::Server => Suffers(&["application"]),
    }
}

fn pausing(t: &Truth, side: Side) -> Judgement {
    match side {
        _ if t.sent_in_vain() || is_noisy(t, Duration::ZERO) => Unclear,
        // It may be that the connection was accepted when all had come.
        Side::Server if t.turn == 0 => Unclear,
        _ if !t.habit => Innocent,
        Side::Client => Suffers(&["application"]),
        Side::Server => Suffers(&["peer"]),
    }
}
