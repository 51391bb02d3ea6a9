//! `docre backends`: lists the backends of this build, their devices, and why a backend cannot start.

use std::fmt::Write;

use anyhow::Result;
use burn_docre::{Error, backend::BackendKind};

use crate::{memory::gib, session::Session};

/// Lists the backends that the project knows, each with its devices or the reason that it has none.
pub(super) fn run(session: &Session) -> Result<()> {
    let mut text = String::new();
    for kind in BackendKind::ALL {
        let fused = if kind.is_fused() { ", fusion" } else { "" };
        match kind.devices() {
            Ok(devices) => {
                for (number, device) in devices.iter().enumerate() {
                    let memory = device.memory.map_or("memory unknown".into(), gib);
                    writeln!(
                        text,
                        "{:<8}device {number}: {}, {memory}{fused}",
                        kind.name(),
                        device
                    )?;
                }
            }
            Err(Error::Backend { reason, .. }) => writeln!(text, "{:<8}{reason}", kind.name())?,
            Err(error) => writeln!(text, "{:<8}{error}", kind.name())?,
        }
    }
    session.ui.results(&text)
}
