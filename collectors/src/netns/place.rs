//! The network namespaces of a host, with files that lead there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Entered, NAMES, NetnsError, current_inode, enter_file, named};
use crate::owners::Owners;

/// A network namespace to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its inode number.
    pub inode: u32,
    /// Its name below [`NAMES`], where it has one.
    pub name: Option<String>,
    /// Files that lead there; none: the thread is there.
    ways: Vec<PathBuf>,
}

/// setns(2) was refused.
#[derive(Debug)]
pub struct Refused {
    /// The file that leads there.
    pub way: PathBuf,
    /// What the system said: EPERM without CAP_SYS_ADMIN.
    pub source: io::Error,
}

impl Place {
    /// The calling thread's own.
    ///
    /// # Errors
    /// `/proc` isn't mounted.
    pub fn here() -> Result<Self, NetnsError> {
        let inode = current_inode()?;
        Ok(Self { inode, name: named().remove(&inode), ways: Vec::new() })
    }

    /// The calling thread's own first, then those with a name and those that `owners` found.
    ///
    /// # Errors
    /// `/proc` isn't mounted.
    pub fn all(owners: &Owners) -> Result<Vec<Self>, NetnsError> {
        let here = Self::here()?;
        let names = named();
        let mut others: BTreeMap<u32, Vec<PathBuf>> =
            names.iter().map(|(inode, name)| (*inode, vec![Path::new(NAMES).join(name)])).collect();
        for (inode, ways) in owners.namespaces() {
            others.entry(*inode).or_default().extend(ways.iter().cloned());
        }
        others.remove(&here.inode);
        let others =
            others.into_iter().map(|(inode, ways)| Self { inode, name: names.get(&inode).cloned(), ways });
        Ok(std::iter::once(here).chain(others).collect())
    }

    /// Moves the calling thread there, by the first way that still leads there; `None` where the namespace has gone
    /// meanwhile.
    ///
    /// # Errors
    /// setns(2) was refused.
    pub fn enter(&self) -> Result<Option<Entered>, Refused> {
        if self.ways.is_empty() {
            return Ok(Some(Entered { home: None, _thread: PhantomData }));
        }
        for way in &self.ways {
            let Ok(file) = File::open(way) else { continue };
            if file.metadata().is_ok_and(|m| m.ino() == u64::from(self.inode)) {
                let refused = |source| Refused { way: way.clone(), source };
                return enter_file(&file).map(Some).map_err(refused);
            }
        }
        Ok(None)
    }
}
