//! Which tracepoint programs are attached.

use aya::Ebpf;
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{BtfTracePoint, ProgramError};
use rustc_hash::FxHashMap;

/// Those that are.
#[derive(Debug, Default)]
pub(crate) struct Links(FxHashMap<&'static str, BtfTracePointLinkId>);

impl Links {
    /// Attaches a loaded program, if it isn't.
    pub(crate) fn attach(&mut self, ebpf: &mut Ebpf, name: &'static str) -> Result<(), ProgramError> {
        if !self.0.contains_key(name) {
            let link = program(ebpf, name)?.attach()?;
            self.0.insert(name, link);
        }
        Ok(())
    }

    /// Detaches a program, if it is attached: it stays loaded.
    pub(crate) fn detach(&mut self, ebpf: &mut Ebpf, name: &'static str) -> Result<(), ProgramError> {
        match self.0.remove(name) {
            Some(link) => program(ebpf, name)?.detach(link),
            None => Ok(()),
        }
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
}
