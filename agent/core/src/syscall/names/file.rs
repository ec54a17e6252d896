//! Names of files and descriptors (`asm-generic/fcntl.h`, `linux/fcntl.h`, `linux/stat.h`, `linux/fs.h`).

use crate::syscall::text::Names;

#[cfg(target_arch = "x86_64")]
/// Flags of open(2) above the access mode, in the order in which strace prints them (`asm/fcntl.h`).
#[rustfmt::skip]
pub(in crate::syscall) const OPEN: Names = &[
    (0x40, "O_CREAT"), (0x80, "O_EXCL"), (0x100, "O_NOCTTY"), (0x200, "O_TRUNC"), (0x400, "O_APPEND"),
    (0x800, "O_NONBLOCK"), (0x101000, "O_SYNC"), (0x100000, "__O_SYNC"), (0x1000, "O_DSYNC"), (0x4000, "O_DIRECT"),
    (0x8000, "O_LARGEFILE"), (0x20000, "O_NOFOLLOW"), (0x40000, "O_NOATIME"), (0x80000, "O_CLOEXEC"),
    (0x200000, "O_PATH"), (0x410000, "O_TMPFILE"), (0x400000, "__O_TMPFILE"), (0x10000, "O_DIRECTORY"),
    (0x2000, "FASYNC"),
];

#[cfg(target_arch = "aarch64")]
/// Flags of open(2) above the access mode, in the order in which strace prints them (`asm/fcntl.h`).
#[rustfmt::skip]
pub(in crate::syscall) const OPEN: Names = &[
    (0x40, "O_CREAT"), (0x80, "O_EXCL"), (0x100, "O_NOCTTY"), (0x200, "O_TRUNC"), (0x400, "O_APPEND"),
    (0x800, "O_NONBLOCK"), (0x101000, "O_SYNC"), (0x100000, "__O_SYNC"), (0x1000, "O_DSYNC"),
    (0x10000, "O_DIRECT"), (0x20000, "O_LARGEFILE"), (0x8000, "O_NOFOLLOW"), (0x40000, "O_NOATIME"),
    (0x80000, "O_CLOEXEC"), (0x200000, "O_PATH"), (0x404000, "O_TMPFILE"), (0x400000, "__O_TMPFILE"),
    (0x4000, "O_DIRECTORY"), (0x2000, "FASYNC"),
];

/// Access modes of open(2).
#[rustfmt::skip]
pub(in crate::syscall) const ACCMODE: Names = &[
    (0, "O_RDONLY"), (1, "O_WRONLY"), (2, "O_RDWR"), (3, "O_ACCMODE"),
];

/// Commands of fcntl(2) (`asm-generic/fcntl.h`, `linux/fcntl.h`).
#[rustfmt::skip]
pub(in crate::syscall) const FCNTL: Names = &[
    (0, "F_DUPFD"), (1, "F_GETFD"), (2, "F_SETFD"), (3, "F_GETFL"), (4, "F_SETFL"), (5, "F_GETLK"), (6, "F_SETLK"),
    (7, "F_SETLKW"), (8, "F_SETOWN"), (9, "F_GETOWN"), (10, "F_SETSIG"), (11, "F_GETSIG"), (15, "F_SETOWN_EX"),
    (12, "F_GETLK64"), (13, "F_SETLK64"), (14, "F_SETLKW64"), (16, "F_GETOWN_EX"), (17, "F_GETOWNER_UIDS"), (36, "F_OFD_GETLK"), (37, "F_OFD_SETLK"), (38, "F_OFD_SETLKW"),
    (1024, "F_SETLEASE"), (1025, "F_GETLEASE"), (1026, "F_NOTIFY"), (1029, "F_CANCELLK"),
    (1030, "F_DUPFD_CLOEXEC"), (1031, "F_SETPIPE_SZ"), (1032, "F_GETPIPE_SZ"), (1033, "F_ADD_SEALS"),
    (1034, "F_GET_SEALS"),
];

/// Descriptor flags.
#[rustfmt::skip]
pub(in crate::syscall) const FD_FLAGS: Names = &[
    (1, "FD_CLOEXEC"),
];

/// Types of record locks.
#[rustfmt::skip]
pub(in crate::syscall) const LOCK_TYPE: Names = &[
    (0, "F_RDLCK"), (1, "F_WRLCK"), (2, "F_UNLCK"),
];

/// `whence` of lseek(2).
#[rustfmt::skip]
pub(in crate::syscall) const WHENCE: Names = &[
    (0, "SEEK_SET"), (1, "SEEK_CUR"), (2, "SEEK_END"), (3, "SEEK_DATA"), (4, "SEEK_HOLE"),
];

/// Kinds of owners of F_SETOWN_EX.
#[rustfmt::skip]
pub(in crate::syscall) const OWNER_TYPE: Names = &[
    (0, "F_OWNER_TID"), (1, "F_OWNER_PID"), (2, "F_OWNER_PGRP"),
];

/// Modes of access(2).
#[rustfmt::skip]
pub(in crate::syscall) const ACCESS: Names = &[
    (0, "F_OK"), (4, "R_OK"), (2, "W_OK"), (1, "X_OK"),
];

/// Flags of the *at calls (`linux/fcntl.h`).
#[rustfmt::skip]
pub(in crate::syscall) const AT: Names = &[
    (0x100, "AT_SYMLINK_NOFOLLOW"), (0x200, "AT_REMOVEDIR"), (0x400, "AT_SYMLINK_FOLLOW"), (0x800, "AT_NO_AUTOMOUNT"),
    (0x1000, "AT_EMPTY_PATH"), (0x8000, "AT_RECURSIVE"),
];

/// Flags of splice(2), tee(2) and vmsplice(2).
#[rustfmt::skip]
pub(in crate::syscall) const SPLICE: Names = &[
    (1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT"),
];

/// Flags of preadv2(2) and pwritev2(2).
#[rustfmt::skip]
pub(in crate::syscall) const RWF: Names = &[
    (1, "RWF_HIPRI"), (2, "RWF_DSYNC"), (4, "RWF_SYNC"), (8, "RWF_NOWAIT"), (16, "RWF_APPEND"),
];

/// Fields of statx(2).
#[rustfmt::skip]
pub(in crate::syscall) const STATX: Names = &[
    (0x1, "STATX_TYPE"), (0x2, "STATX_MODE"), (0x4, "STATX_NLINK"), (0x8, "STATX_UID"), (0x10, "STATX_GID"),
    (0x20, "STATX_ATIME"), (0x40, "STATX_MTIME"), (0x80, "STATX_CTIME"), (0x100, "STATX_INO"), (0x200, "STATX_SIZE"),
    (0x400, "STATX_BLOCKS"), (0x800, "STATX_BTIME"), (0x1000, "STATX_MNT_ID"), (0x2000, "STATX_DIOALIGN"),
];

/// Attributes of statx(2).
#[rustfmt::skip]
pub(in crate::syscall) const STATX_ATTR: Names = &[
    (0x4, "STATX_ATTR_COMPRESSED"), (0x10, "STATX_ATTR_IMMUTABLE"), (0x20, "STATX_ATTR_APPEND"),
    (0x40, "STATX_ATTR_NODUMP"), (0x800, "STATX_ATTR_ENCRYPTED"), (0x1000, "STATX_ATTR_AUTOMOUNT"),
    (0x2000, "STATX_ATTR_MOUNT_ROOT"), (0x100000, "STATX_ATTR_VERITY"), (0x200000, "STATX_ATTR_DAX"),
];

/// File systems.
#[rustfmt::skip]
pub(in crate::syscall) const FS_MAGIC: Names = &[
    (0x2f, "QNX4_SUPER_MAGIC"), (0x187, "AUTOFS_SUPER_MAGIC"), (0x137f, "MINIX_SUPER_MAGIC"),
    (0x1cd1, "DEVPTS_SUPER_MAGIC"), (0x2468, "MINIX2_SUPER_MAGIC"), (0x3434, "NILFS_SUPER_MAGIC"),
    (0x4d44, "MSDOS_SUPER_MAGIC"), (0x4d5a, "MINIX3_SUPER_MAGIC"), (0x517b, "SMB_SUPER_MAGIC"),
    (0x564c, "NCP_SUPER_MAGIC"), (0x6969, "NFS_SUPER_MAGIC"), (0x72b6, "JFFS2_SUPER_MAGIC"),
    (0x9660, "ISOFS_SUPER_MAGIC"), (0x9fa0, "PROC_SUPER_MAGIC"), (0x9fa1, "OPENPROM_SUPER_MAGIC"),
    (0x9fa2, "USBDEVICE_SUPER_MAGIC"), (0xadf5, "ADFS_SUPER_MAGIC"), (0xadff, "AFFS_SUPER_MAGIC"),
    (0xef53, "EXT2_SUPER_MAGIC"), (0xf15f, "ECRYPTFS_SUPER_MAGIC"), (0x414a53, "EFS_SUPER_MAGIC"),
    (0xc0ffee, "HOSTFS_SUPER_MAGIC"), (0xc36400, "CEPH_SUPER_MAGIC"), (0x1021994, "TMPFS_MAGIC"),
    (0x1021997, "V9FS_MAGIC"), (0x27e0eb, "CGROUP_SUPER_MAGIC"), (0x7655821, "RDTGROUP_SUPER_MAGIC"), (0x9041934, "ANON_INODE_FS_MAGIC"),
    (0xbad1dea, "FUTEXFS_SUPER_MAGIC"), (0x15013346, "UDF_SUPER_MAGIC"), (0x2011bab0, "EXFAT_SUPER_MAGIC"),
    (0x28cd3d45, "CRAMFS_MAGIC"), (0x42494e4d, "BINFMTFS_MAGIC"), (0x43415d53, "SMACK_MAGIC"),
    (0x50495045, "PIPEFS_MAGIC"), (0x52654973, "REISERFS_SUPER_MAGIC"), (0x5345434d, "SECRETMEM_MAGIC"),
    (0x5346414f, "AFS_SUPER_MAGIC"), (0x534f434b, "SOCKFS_MAGIC"), (0x58465342, "XFS_SUPER_MAGIC"),
    (0x5a3c69f0, "AAFS_MAGIC"), (0x5a4f4653, "ZONEFS_MAGIC"), (0x6165676c, "PSTOREFS_MAGIC"),
    (0x62646576, "BDEVFS_MAGIC"), (0x62656572, "SYSFS_MAGIC"), (0x63677270, "CGROUP2_SUPER_MAGIC"),
    (0x64626720, "DEBUGFS_MAGIC"), (0x64646178, "DAXFS_MAGIC"), (0x65735546, "FUSE_SUPER_MAGIC"),
    (0x68191122, "QNX6_SUPER_MAGIC"), (0x6b414653, "AFS_FS_MAGIC"), (0x6c6f6f70, "BINDERFS_SUPER_MAGIC"),
    (0x6e736673, "NSFS_MAGIC"), (0x73636673, "SECURITYFS_MAGIC"), (0x73717368, "SQUASHFS_MAGIC"),
    (0x73727279, "BTRFS_TEST_MAGIC"), (0x73757245, "CODA_SUPER_MAGIC"), (0x7461636f, "OCFS2_SUPER_MAGIC"),
    (0x74726163, "TRACEFS_MAGIC"), (0x794c7630, "OVERLAYFS_SUPER_MAGIC"), (0x858458f6, "RAMFS_MAGIC"),
    (0x9123683e, "BTRFS_SUPER_MAGIC"), (0x958458f6, "HUGETLBFS_MAGIC"), (0xabba1974, "XENFS_SUPER_MAGIC"),
    (0xcafe4a11, "BPF_FS_MAGIC"), (0xde5e81e4, "EFIVARFS_MAGIC"), (0xf2f52010, "F2FS_SUPER_MAGIC"),
    (0xf97cff8c, "SELINUX_MAGIC"), (0xf995e849, "HPFS_SUPER_MAGIC"), (0xfe534d42, "SMB2_SUPER_MAGIC"),
    (0xff534d42, "CIFS_SUPER_MAGIC"),
];

/// Flags of statfs(2).
#[rustfmt::skip]
pub(in crate::syscall) const ST_FLAGS: Names = &[
    (0x20, "ST_VALID"), (0x1, "ST_RDONLY"), (0x2, "ST_NOSUID"), (0x4, "ST_NODEV"), (0x8, "ST_NOEXEC"), (0x10, "ST_SYNCHRONOUS"),
    (0x40, "ST_MANDLOCK"), (0x80, "ST_WRITE"), (0x100, "ST_APPEND"), (0x200, "ST_IMMUTABLE"),
    (0x400, "ST_NOATIME"), (0x800, "ST_NODIRATIME"), (0x1000, "ST_RELATIME"), (0x2000, "ST_NOSYMFOLLOW"),
];

/// Types of directory entries.
#[rustfmt::skip]
pub(in crate::syscall) const DT: Names = &[
    (0, "DT_UNKNOWN"), (1, "DT_FIFO"), (2, "DT_CHR"), (4, "DT_DIR"), (6, "DT_BLK"), (8, "DT_REG"), (10, "DT_LNK"),
    (12, "DT_SOCK"), (14, "DT_WHT"),
];

/// Modes of fallocate(2).
#[rustfmt::skip]
pub(in crate::syscall) const FALLOC: Names = &[
    (0x1, "FALLOC_FL_KEEP_SIZE"), (0x2, "FALLOC_FL_PUNCH_HOLE"), (0x4, "FALLOC_FL_NO_HIDE_STALE"),
    (0x8, "FALLOC_FL_COLLAPSE_RANGE"), (0x10, "FALLOC_FL_ZERO_RANGE"), (0x20, "FALLOC_FL_INSERT_RANGE"),
    (0x40, "FALLOC_FL_UNSHARE_RANGE"),
];

/// Advice of fadvise64(2).
#[rustfmt::skip]
pub(in crate::syscall) const FADV: Names = &[
    (0, "POSIX_FADV_NORMAL"), (1, "POSIX_FADV_RANDOM"), (2, "POSIX_FADV_SEQUENTIAL"), (3, "POSIX_FADV_WILLNEED"),
    (4, "POSIX_FADV_DONTNEED"), (5, "POSIX_FADV_NOREUSE"),
];

/// Operations of flock(2).
#[rustfmt::skip]
pub(in crate::syscall) const LOCK: Names = &[
    (0x1, "LOCK_SH"), (0x2, "LOCK_EX"), (0x4, "LOCK_NB"), (0x8, "LOCK_UN"), (0x20, "LOCK_MAND"), (0xc0, "LOCK_RW"),
    (0x40, "LOCK_READ"), (0x80, "LOCK_WRITE"),
];

/// Flags of renameat2(2).
#[rustfmt::skip]
pub(in crate::syscall) const RENAME: Names = &[
    (0x1, "RENAME_NOREPLACE"), (0x2, "RENAME_EXCHANGE"), (0x4, "RENAME_WHITEOUT"),
];

/// How openat2(2) resolves.
#[rustfmt::skip]
pub(in crate::syscall) const RESOLVE: Names = &[
    (0x1, "RESOLVE_NO_XDEV"), (0x2, "RESOLVE_NO_MAGICLINKS"), (0x4, "RESOLVE_NO_SYMLINKS"), (0x8, "RESOLVE_BENEATH"),
    (0x10, "RESOLVE_IN_ROOT"), (0x20, "RESOLVE_CACHED"),
];

/// Flags of close_range(2).
#[rustfmt::skip]
pub(in crate::syscall) const CLOSE_RANGE: Names = &[
    (0x2, "CLOSE_RANGE_UNSHARE"), (0x4, "CLOSE_RANGE_CLOEXEC"),
];

/// Seals of files.
#[rustfmt::skip]
pub(in crate::syscall) const SEAL: Names = &[
    (0x1, "F_SEAL_SEAL"), (0x2, "F_SEAL_SHRINK"), (0x4, "F_SEAL_GROW"), (0x8, "F_SEAL_WRITE"),
    (0x10, "F_SEAL_FUTURE_WRITE"),
];

/// Flags of inotify_init1(2).
#[rustfmt::skip]
pub(in crate::syscall) const INOTIFY_INIT: Names = &[
    (0x800, "IN_NONBLOCK"), (0x80000, "IN_CLOEXEC"),
];

/// Events of inotify(7).
#[rustfmt::skip]
pub(in crate::syscall) const INOTIFY: Names = &[
    (0x1, "IN_ACCESS"), (0x2, "IN_MODIFY"), (0x4, "IN_ATTRIB"), (0x8, "IN_CLOSE_WRITE"), (0x10, "IN_CLOSE_NOWRITE"),
    (0x20, "IN_OPEN"), (0x40, "IN_MOVED_FROM"), (0x80, "IN_MOVED_TO"), (0x100, "IN_CREATE"), (0x200, "IN_DELETE"),
    (0x400, "IN_DELETE_SELF"), (0x800, "IN_MOVE_SELF"), (0x2000, "IN_UNMOUNT"), (0x4000, "IN_Q_OVERFLOW"),
    (0x8000, "IN_IGNORED"), (0x1000000, "IN_ONLYDIR"), (0x2000000, "IN_DONT_FOLLOW"), (0x4000000, "IN_EXCL_UNLINK"),
    (0x10000000, "IN_MASK_CREATE"), (0x20000000, "IN_MASK_ADD"), (0x40000000, "IN_ISDIR"), (0x80000000, "IN_ONESHOT"),
];

/// Flags of setxattr(2).
#[rustfmt::skip]
pub(in crate::syscall) const XATTR: Names = &[
    (1, "XATTR_CREATE"), (2, "XATTR_REPLACE"),
];

/// Flags of sync_file_range(2).
#[rustfmt::skip]
pub(in crate::syscall) const SYNC_RANGE: Names = &[
    (1, "SYNC_FILE_RANGE_WAIT_BEFORE"), (2, "SYNC_FILE_RANGE_WRITE"), (4, "SYNC_FILE_RANGE_WAIT_AFTER"),
];

/// Flags of mount(2).
#[rustfmt::skip]
pub(in crate::syscall) const MOUNT: Names = &[
    (0x1, "MS_RDONLY"), (0x2, "MS_NOSUID"), (0x4, "MS_NODEV"), (0x8, "MS_NOEXEC"), (0x10, "MS_SYNCHRONOUS"),
    (0x20, "MS_REMOUNT"), (0x40, "MS_MANDLOCK"), (0x80, "MS_DIRSYNC"), (0x100, "MS_NOSYMFOLLOW"),
    (0x400, "MS_NOATIME"), (0x800, "MS_NODIRATIME"), (0x1000, "MS_BIND"), (0x2000, "MS_MOVE"), (0x4000, "MS_REC"),
    (0x8000, "MS_SILENT"), (0x10000, "MS_POSIXACL"), (0x20000, "MS_UNBINDABLE"), (0x40000, "MS_PRIVATE"),
    (0x80000, "MS_SLAVE"), (0x100000, "MS_SHARED"), (0x200000, "MS_RELATIME"), (0x800000, "MS_I_VERSION"),
    (0x1000000, "MS_STRICTATIME"), (0x2000000, "MS_LAZYTIME"),
];

/// Flags of umount2(2).
#[rustfmt::skip]
pub(in crate::syscall) const UMOUNT: Names = &[
    (0x1, "MNT_FORCE"), (0x2, "MNT_DETACH"), (0x4, "MNT_EXPIRE"), (0x8, "UMOUNT_NOFOLLOW"),
];

/// Flags of name_to_handle_at(2).
#[rustfmt::skip]
pub(in crate::syscall) const AT_HANDLE: Names = &[
    (0x400, "AT_SYMLINK_FOLLOW"), (0x1000, "AT_EMPTY_PATH"),
];

/// What F_NOTIFY tells of.
#[rustfmt::skip]
pub(in crate::syscall) const DN: Names = &[
    (1, "DN_ACCESS"), (2, "DN_MODIFY"), (4, "DN_CREATE"), (8, "DN_DELETE"), (16, "DN_RENAME"), (32, "DN_ATTRIB"),
    (0x8000_0000, "DN_MULTISHOT"),
];

/// Flags of faccessat2(2).
#[rustfmt::skip]
pub(in crate::syscall) const FACCESSAT: Names = &[
    (0x100, "AT_SYMLINK_NOFOLLOW"), (0x200, "AT_EACCESS"), (0x1000, "AT_EMPTY_PATH"),
];

/// How statx(2) asks the server of a file, in the bits of its flags.
#[rustfmt::skip]
pub(in crate::syscall) const STATX_SYNC: Names = &[
    (0, "AT_STATX_SYNC_AS_STAT"), (0x2000, "AT_STATX_FORCE_SYNC"), (0x4000, "AT_STATX_DONT_SYNC"),
];

/// Types of files.
#[rustfmt::skip]
pub(in crate::syscall) const FILE_TYPE: Names = &[
    (0o010_000, "S_IFIFO"), (0o020_000, "S_IFCHR"), (0o040_000, "S_IFDIR"), (0o060_000, "S_IFBLK"),
    (0o100_000, "S_IFREG"), (0o120_000, "S_IFLNK"), (0o140_000, "S_IFSOCK"),
];
