//! `docre`: the command line of burn-docre.

fn main() {}
