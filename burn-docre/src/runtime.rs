//! The choice of a backend and device at run time.

use crate::{
    Result,
    backend::{self, BackendKind, DeviceBackend, on_backend},
    ops::DocReOps,
};

/// A backend that runs the models of this crate.
///
/// Implemented for every type that is a [`DeviceBackend`] and has the operations of [`DocReOps`].
pub trait DocReBackend: DeviceBackend + DocReOps {}

impl<B: DeviceBackend + DocReOps> DocReBackend for B {}

/// A function that is generic over the backend, for [`dispatch`].
pub trait BackendTask {
    /// The result of [`run`](Self::run).
    type Output;

    /// Runs the task on `device`. `B` has no autodiff; a task that trains wraps it in `Autodiff`.
    fn run<B: DocReBackend>(self, device: B::Device) -> Self::Output;
}

/// Runs `task` on device number `device` of the backend `kind`.
///
/// `None` selects the first backend of the build.
///
/// # Errors
/// [`Error::Backend`](crate::Error::Backend) if the backend is not compiled in, cannot start on
/// this machine, or has no such device. [`Error::Config`](crate::Error::Config) if the build has no
/// backend.
pub fn dispatch<T: BackendTask>(
    kind: Option<BackendKind>,
    device: usize,
    task: T,
) -> Result<T::Output> {
    let kind = kind.map_or_else(BackendKind::first, Ok)?;
    on_backend!(kind, B => Ok(task.run::<B>(backend::device::<B>(kind, device)?)))
}
