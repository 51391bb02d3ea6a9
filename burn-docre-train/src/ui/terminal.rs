//! The terminal under Burn's interface: two corrections that Burn 0.21 needs, and the way back.
//!
//! Burn puts the terminal into raw mode, where Ctrl-C is an ordinary character, and its drawing thread never sleeps
//! (upstream #5021).

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

    /// The terminal's settings before Burn changed them, while its interface is up.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// The terminal that keys come from.
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

        /// Best effort: a terminal that refuses keeps its settings.
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

    /// Remembers the terminal's settings.
    pub fn before_interface() {
        let settings = Tty::open().and_then(|tty| tty.settings());
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Waits for raw mode, then lets Ctrl-C raise SIGINT again and gives the drawing thread the lowest priority.
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

    /// Forgets the settings once Burn's interface has given the terminal back.
    pub fn after_interface() {
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Gives the terminal back from under Burn's interface, before the process ends at once.
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

/// Elsewhere Burn's interface is left as it is.
#[cfg(not(unix))]
mod other {
    pub fn before_interface() {}
    pub fn after_interface_started() {}
    pub fn after_interface() {}
    pub fn restore() {}
}

#[cfg(not(unix))]
pub use other::{after_interface, after_interface_started, before_interface, restore};
