//! `docre backends`: lists the backends of this build, their devices with the precision that `auto`
//! chooses, and why a backend cannot start.

use std::fmt::Write;

use anyhow::Result;
use burn_docre::{Error, PrecisionChoice, backend::BackendKind};

use crate::{memory::gib, session::Session};

/// Prints all backends, each with its devices or the reason why it cannot start.
pub(super) fn run(session: &Session) -> Result<()> {
    let mut text = String::new();
    for kind in BackendKind::ALL {
        let fused = if kind.is_fused() { ", fusion" } else { "" };
        let name = kind.name();
        match kind.devices() {
            Ok(devices) => {
                for (number, device) in devices.iter().enumerate() {
                    let memory = device.memory.map_or("memory unknown".into(), gib);
                    let auto = PrecisionChoice::Auto.resolve(kind, &[number])?;
                    writeln!(
                        text,
                        "{name:<8}device {number}: {device}, {memory}, precision auto: {auto}{fused}"
                    )?;
                }
            }
            Err(Error::Backend { reason, .. }) => writeln!(text, "{name:<8}{reason}")?,
            Err(error) => writeln!(text, "{name:<8}{error}")?,
        }
    }
    session.ui.results(&text)
}
