//! The versions in run manifests and benchmark records.

/// The version of this crate.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The version of Burn that the workspace pins.
pub const BURN: &str = "0.21.0";

/// The git commit of the build; `None` if it was built outside a git repository.
pub const COMMIT: Option<&str> = option_env!("DOCRE_COMMIT");
