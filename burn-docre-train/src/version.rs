//! The versions that runs and benchmark records carry.

/// The version of this crate.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The version of Burn that the workspace pins.
pub const BURN: &str = "0.21.0";

/// The commit of the build, if git named one.
pub const COMMIT: Option<&str> = option_env!("DOCRE_COMMIT");
