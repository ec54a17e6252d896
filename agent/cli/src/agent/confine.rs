//! What the agent gives up once the probes are loaded: capabilities, and system calls that it never makes. So does the
//! process that it asks for rules of the packet filter, but for what that takes.

use caps::{CapSet, Capability, CapsHashSet};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// What it goes on needing: reading maps (CAP_BPF), iterators (CAP_PERFMON), and /proc of others.
const KEPT: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// What following calls goes on needing besides: packet sockets, and entering network namespaces. It names no rules of the
/// firewall: listing them is the affair of the process for that.
const KEPT_FOR_CALLS: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_SYS_ADMIN];

/// Of what is refused, the calls that following calls makes.
const CALLED_FOR_CALLS: [libc::c_long; 1] = [libc::SYS_setns];

/// What listing rules takes in any network namespace: nft(8), setns(2), and finding the namespace in /proc.
const KEPT_FOR_RULES: [Capability; 4] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Of what is refused, the calls that listing rules makes.
const CALLED_FOR_RULES: [libc::c_long; 2] = [libc::SYS_execve, libc::SYS_setns];

/// What nobody who only looks ever calls.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Gives them up, in this thread and those that it will start, but for what following `calls` takes, where that is asked for.
/// What can't be given up is told in a line each; nothing depends on it.
pub fn confine(calls: bool) -> Vec<String> {
    match calls {
        true => keep(&[&KEPT[..], &KEPT_FOR_CALLS].concat(), None, &CALLED_FOR_CALLS),
        false => keep(&KEPT, None, &[]),
    }
}

/// The same in the process that lists rules. A user other than root hands CAP_NET_ADMIN on to nft(8).
pub fn confine_to_rules() -> Vec<String> {
    keep(&KEPT_FOR_RULES, Some(Capability::CAP_NET_ADMIN), &CALLED_FOR_RULES)
}

fn keep(kept: &[Capability], handed_on: Option<Capability>, called: &[libc::c_long]) -> Vec<String> {
    let mut troubles = Vec::new();
    // SAFETY: a number goes in, nothing comes out.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        troubles.push(format!("no_new_privs: {}", std::io::Error::last_os_error()));
    }
    if let Err(e) = drop_capabilities(kept, handed_on) {
        troubles.push(format!("capabilities are kept: {e}"));
    }
    if let Err(e) = refuse(called) {
        troubles.push(format!("no seccomp filter: {e}"));
    }
    troubles
}

fn drop_capabilities(
    kept: &[Capability],
    handed_on: Option<Capability>,
) -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    // CAP_SYS_ADMIN stands for the two newer ones before 5.8, and where an administrator gives it alone.
    let alone = !permitted.contains(&Capability::CAP_BPF) && permitted.contains(&Capability::CAP_SYS_ADMIN);
    let last = alone.then_some(Capability::CAP_SYS_ADMIN);
    let left: CapsHashSet =
        permitted.iter().copied().filter(|c| kept.contains(c) || Some(*c) == last).collect();
    let handed_on: CapsHashSet = handed_on.into_iter().filter(|c| left.contains(c)).collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Inheritable, &handed_on)?;
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.difference(&left) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    caps::set(None, CapSet::Effective, &left)?;
    caps::set(None, CapSet::Permitted, &left)?;
    caps::set(None, CapSet::Ambient, &handed_on)
}

fn refuse(called: &[libc::c_long]) -> Result<(), Box<dyn std::error::Error>> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules = REFUSED.iter().filter(|nr| !called.contains(nr)).map(|nr| (*nr, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()?;
    seccompiler::apply_filter_all_threads(&filter)?;
    Ok(())
}
