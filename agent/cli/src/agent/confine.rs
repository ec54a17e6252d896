//! What the agent gives up once the probes are loaded: capabilities, and system calls that it never makes.

use caps::{CapSet, Capability, CapsHashSet};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// What it goes on needing: reading maps (CAP_BPF), iterators (CAP_PERFMON), and /proc of others.
const KEPT: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

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

/// Gives them up, in this thread and those that it will start. What can't be given up is told in a line each; nothing
/// depends on it.
pub fn confine() -> Vec<String> {
    let mut troubles = Vec::new();
    // SAFETY: a number goes in, nothing comes out.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        troubles.push(format!("no_new_privs: {}", std::io::Error::last_os_error()));
    }
    if let Err(e) = drop_capabilities() {
        troubles.push(format!("capabilities are kept: {e}"));
    }
    if let Err(e) = refuse() {
        troubles.push(format!("no seccomp filter: {e}"));
    }
    troubles
}

fn drop_capabilities() -> Result<(), caps::errors::CapsError> {
    let kept: CapsHashSet = KEPT.into_iter().collect();
    let permitted = caps::read(None, CapSet::Permitted)?;
    // CAP_SYS_ADMIN stands for the two newer ones before 5.8, and where an administrator gives it alone.
    let alone = !permitted.contains(&Capability::CAP_BPF) && permitted.contains(&Capability::CAP_SYS_ADMIN);
    let last = alone.then_some(Capability::CAP_SYS_ADMIN);
    let left: CapsHashSet =
        permitted.iter().copied().filter(|c| kept.contains(c) || Some(*c) == last).collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.difference(&left) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    caps::set(None, CapSet::Effective, &left)?;
    caps::set(None, CapSet::Permitted, &left)
}

fn refuse() -> Result<(), Box<dyn std::error::Error>> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules = REFUSED.iter().map(|nr| (*nr, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()?;
    seccompiler::apply_filter_all_threads(&filter)?;
    Ok(())
}
