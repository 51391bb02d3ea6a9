//! The choice of plain lines, and workarounds for the terminal interface of Burn 0.21.
//!
//! Burn puts the terminal into raw mode, in which Ctrl-C raises no signal, and its drawing thread
//! never sleeps (upstream issue 5021). Its keys `q` and `k` end the program by a panic. This module
//! enables the signal again, lowers the priority of the thread, restores the terminal if the
//! process ends early, and ends the program in order after those keys.

use std::{ffi::OsString, panic::PanicHookInfo};

/// The message of the panic by which Burn reports the keys `q` and `k`.
const KILLED: &str = "Killing training from user input.";

/// Reports whether the environment asks for plain lines: no interface, no progress bars, no colours.
///
/// This holds under continuous integration (`CI`), if `NO_COLOR` is set, and on a terminal without
/// control sequences: `TERM` is missing or `dumb`.
pub fn is_plain() -> bool {
    is_plain_in(|name| std::env::var_os(name))
}

fn is_plain_in(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let is_off = |value: &OsString| value == "0" || value.eq_ignore_ascii_case("false");
    set("NO_COLOR").is_some()
        || set("CI").is_some_and(|value| !is_off(&value))
        || set("TERM").is_none_or(|value| value == "dumb")
}

/// Calls `end` in place of a panic message when Burn's interface reports the keys `q` and `k`.
///
/// Call it before the interface starts. The interface restores the terminal before it calls `end`.
pub fn on_kill(end: impl Fn() + Send + Sync + 'static) {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if is_kill(info) {
            end();
        } else {
            previous(info);
        }
    }));
}

fn is_kill(info: &PanicHookInfo<'_>) -> bool {
    info.payload().downcast_ref::<&str>() == Some(&KILLED)
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::File,
        io::{IsTerminal, Stdin, Write},
        os::fd::{AsFd, BorrowedFd},
        sync::{Mutex, PoisonError},
        time::{Duration, Instant},
    };

    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };

    /// The terminal's settings before Burn's interface; `None` while no interface is shown.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// The terminal that delivers key presses.
    enum Tty {
        Stdin(Stdin),
        Opened(File),
    }

    impl Tty {
        fn open() -> Option<Self> {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                return Some(Self::Stdin(stdin));
            }
            File::options().read(true).write(true).open("/dev/tty").ok().map(Self::Opened)
        }

        fn settings(&self) -> Option<Termios> {
            tcgetattr(self).ok()
        }

        /// Applies `settings`; a failure is ignored.
        fn apply(&self, settings: &Termios) {
            let _ = tcsetattr(self, OptionalActions::Now, settings);
        }
    }

    impl AsFd for Tty {
        fn as_fd(&self) -> BorrowedFd<'_> {
            match self {
                Self::Stdin(stdin) => stdin.as_fd(),
                Self::Opened(file) => file.as_fd(),
            }
        }
    }

    /// Saves the terminal's settings; call it before Burn's interface starts.
    pub fn before_interface() {
        let settings = Tty::open().and_then(|tty| tty.settings());
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Waits for raw mode, then enables SIGINT by Ctrl-C and gives the drawing thread the lowest
    /// priority.
    pub fn after_interface_started() {
        let deadline = Instant::now() + Duration::from_secs(2);
        let Some(tty) = Tty::open() else { return };
        while Instant::now() < deadline {
            match tty.settings() {
                Some(mut settings) if !settings.local_modes.contains(LocalModes::ICANON) => {
                    settings.local_modes |= LocalModes::ISIG;
                    // Ctrl-Z and Ctrl-\ would leave the terminal in raw mode.
                    settings.special_codes[SpecialCodeIndex::VSUSP] = libc::_POSIX_VDISABLE;
                    settings.special_codes[SpecialCodeIndex::VQUIT] = libc::_POSIX_VDISABLE;
                    tty.apply(&settings);
                    break;
                }
                Some(_) => std::thread::sleep(Duration::from_millis(10)),
                None => break,
            }
        }
        #[cfg(target_os = "linux")]
        lower_drawing_thread();
    }

    /// Discards the saved settings; call it after Burn's interface has restored the terminal.
    pub fn after_interface() {
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Restores the terminal if Burn's interface is shown; call it before the process exits early.
    pub fn restore() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(settings), Some(tty)) = (before, Tty::open()) {
            tty.apply(&settings);
            let leave_alternate_screen_and_show_cursor = b"\x1b[?1049l\x1b[?25h";
            let mut out = std::io::stdout();
            let _ = out.write_all(leave_alternate_screen_and_show_cursor);
            let _ = out.flush();
        }
    }

    #[cfg(target_os = "linux")]
    fn lower_drawing_thread() {
        use rustix::process::{Pid, setpriority_process};

        const LOWEST: i32 = 19;
        let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return };
        for thread in threads.flatten() {
            let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            if name.trim() != "train-renderer" {
                continue;
            }
            let id = thread.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
            if let Some(id) = id {
                // The thread may have ended.
                let _ = setpriority_process(Some(id), LOWEST);
            }
        }
    }
}

#[cfg(unix)]
pub use unix::{after_interface, after_interface_started, before_interface, restore};

/// No workarounds for other systems.
#[cfg(not(unix))]
mod other {
    pub fn before_interface() {}
    pub fn after_interface_started() {}
    pub fn after_interface() {}
    pub fn restore() {}
}

#[cfg(not(unix))]
pub use other::{after_interface, after_interface_started, before_interface, restore};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_written_where_the_environment_asks_for_them() {
        let is_plain = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(key, _)| *key == name);
            is_plain_in(|name| value(name).map(|(_, value)| value.into()))
        };
        let terminal = ("TERM", "xterm-256color");
        for variables in [
            &[][..],
            &[("TERM", "")],
            &[("TERM", "dumb")],
            &[terminal, ("CI", "true")],
            &[terminal, ("CI", "1")],
            &[terminal, ("NO_COLOR", "1")],
            &[terminal, ("NO_COLOR", "0")],
        ] {
            assert!(is_plain(variables), "{variables:?}");
        }
        for variables in [
            &[terminal][..],
            &[terminal, ("CI", "")],
            &[terminal, ("CI", "false")],
            &[terminal, ("NO_COLOR", "")],
        ] {
            assert!(!is_plain(variables), "{variables:?}");
        }
    }
}
