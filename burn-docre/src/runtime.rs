//! The choice of a backend and device at run time.

use crate::{
    Error, Result,
    backend::{self, BackendKind, DeviceBackend, on_backend},
    ops::DocReOps,
};

/// A backend that runs the models of this crate: its devices and the operations on them.
///
/// Every type with both traits has this one.
pub trait DocReBackend: DeviceBackend + DocReOps {}

impl<B: DeviceBackend + DocReOps> DocReBackend for B {}

/// Work that is generic over the backend, for [`dispatch`].
pub trait BackendTask {
    /// The result of the work.
    type Output;

    /// Runs the work on `B`. Training wraps `B` in `Autodiff`.
    fn run<B: DocReBackend>(self, device: B::Device) -> Self::Output;
}

/// Runs `task` on device number `device` of the backend `kind`, by default the first one in the build.
///
/// # Errors
/// If the backend is not compiled in, cannot start here, or has no such device.
pub fn dispatch<T: BackendTask>(
    kind: Option<BackendKind>,
    device: usize,
    task: T,
) -> Result<T::Output> {
    let Some(kind) = kind.or_else(|| BackendKind::compiled().first().copied()) else {
        return Err(Error::config("this build has no backend; build with `--features flex`"));
    };
    on_backend!(kind, B => Ok(task.run::<B>(backend::device::<B>(kind, device)?)))
}
