//! `docre backends`: what this build can compute on, and why not.

use std::fmt::Write;

use anyhow::Result;
use burn_docre::{Error, backend::BackendKind};

use crate::stages::Session;

/// Lists the backends that the project knows, each with its devices or the reason that it has none.
pub fn list(session: &Session) -> Result<()> {
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

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}
