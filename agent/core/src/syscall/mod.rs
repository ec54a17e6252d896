//! Syscalls: numbers, names, what to read of their arguments, and how strace would print them.
