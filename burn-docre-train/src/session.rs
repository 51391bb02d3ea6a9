//! The context of every command: its output, its stop flag, its backend and its device.

use anyhow::{Context, Result};
use burn_docre::{
    BackendTask, DocReBackend, Precision, PrecisionChoice, backend::BackendKind, dispatch,
};

use crate::ui::{Ui, signals::StopFlag};

/// The context of a command: the output, the stop flag, and the requested backend and device.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// Receives notes, progress and results.
    pub ui: &'a Ui,
    /// Stops the work at its next safe point when it is set.
    pub stop: &'a StopFlag,
    /// The requested backend; `None` selects the first one of this build.
    pub backend: Option<BackendKind>,
    /// The requested device number. `None` selects the devices of the configuration, else device 0.
    pub device: Option<usize>,
}

impl<'a> Session<'a> {
    /// A session on the default backend and device.
    pub fn new(ui: &'a Ui, stop: &'a StopFlag) -> Self {
        Self { ui, stop, backend: None, device: None }
    }

    /// Runs `task` on the session's backend and device.
    ///
    /// # Errors
    /// If the backend or the device is missing, and if the task fails.
    pub fn dispatch<T>(&self, task: impl BackendTask<Output = Result<T>>) -> Result<T> {
        self.dispatch_on(self.device_number(), task)
    }

    /// Runs `task` on device number `device` of the session's backend.
    ///
    /// # Errors
    /// If the backend or the device is missing, and if the task fails.
    pub fn dispatch_on<T>(
        &self,
        device: usize,
        task: impl BackendTask<Output = Result<T>>,
    ) -> Result<T> {
        dispatch(self.backend, device, task)?
    }

    /// The requested device number, else 0.
    pub fn device_number(&self) -> usize {
        self.device.unwrap_or(0)
    }

    /// The requested backend, else the first one of this build.
    ///
    /// # Errors
    /// If this build has no backend.
    pub fn backend_kind(&self) -> Result<BackendKind> {
        Ok(self.backend.map_or_else(BackendKind::first, Ok)?)
    }

    /// The precision of a command on `device`, the session's device. Notes what `auto` chose.
    ///
    /// # Errors
    /// If the device does not support it, or this build has no backend.
    pub fn precision<B: DocReBackend>(
        &self,
        choice: PrecisionChoice,
        device: &B::Device,
    ) -> Result<Precision> {
        let kind = self.backend_kind()?;
        let precision = choice.resolve(kind, &[self.device_number()])?;
        precision.check::<B>(kind, device)?;
        if choice == PrecisionChoice::Auto {
            self.ui.note(&format!("precision auto: {precision}"));
        }
        Ok(precision)
    }
}

/// Waits until `device` has finished all operations.
///
/// # Errors
/// If the device reports a failure.
pub fn synchronize<B: DocReBackend>(device: &B::Device) -> Result<()> {
    B::sync(device).context("the device failed")
}
