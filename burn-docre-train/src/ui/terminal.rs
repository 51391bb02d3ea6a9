//! The terminal under Burn's interface: two corrections that Burn 0.21 needs, and the way back.
//!
//! Burn puts the terminal into raw mode, where Ctrl-C is an ordinary character, and its drawing thread never sleeps.

#[cfg(unix)]
mod unix {
    use std::{
        fs::File,
        io::Write,
        os::fd::{AsRawFd, RawFd},
        sync::{Mutex, PoisonError},
        time::{Duration, Instant},
    };

    /// The terminal's settings before Burn changed them, while its interface is up.
    static BEFORE: Mutex<Option<libc::termios>> = Mutex::new(None);

    /// The terminal that keys come from.
    enum Tty {
        Stdin,
        Opened(File),
    }

    impl Tty {
        fn open() -> Option<Self> {
            // SAFETY: `isatty` only looks at a descriptor.
            if unsafe { libc::isatty(libc::STDIN_FILENO) } == 1 {
                return Some(Self::Stdin);
            }
            File::options().read(true).write(true).open("/dev/tty").ok().map(Self::Opened)
        }

        fn fd(&self) -> RawFd {
            match self {
                Self::Stdin => libc::STDIN_FILENO,
                Self::Opened(file) => file.as_raw_fd(),
            }
        }

        fn settings(&self) -> Option<libc::termios> {
            // SAFETY: all-zero bytes are a valid `termios`, and `tcgetattr` fills it.
            let mut settings: libc::termios = unsafe { std::mem::zeroed() };
            // SAFETY: the descriptor is open and `settings` is writable.
            let status = unsafe { libc::tcgetattr(self.fd(), &mut settings) };
            (status == 0).then_some(settings)
        }

        fn apply(&self, settings: &libc::termios) {
            // SAFETY: the descriptor is open and `settings` comes from `tcgetattr`.
            unsafe { libc::tcsetattr(self.fd(), libc::TCSANOW, settings) };
        }
    }

    /// Remembers the terminal's settings.
    pub fn before_interface() {
        let settings = Tty::open().and_then(|tty| tty.settings());
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Waits for raw mode, then lets Ctrl-C raise SIGINT again and puts the drawing thread behind all others.
    pub fn after_interface_started() {
        let deadline = Instant::now() + Duration::from_secs(2);
        let Some(tty) = Tty::open() else { return };
        while Instant::now() < deadline {
            match tty.settings() {
                Some(mut settings) if settings.c_lflag & libc::ICANON == 0 => {
                    settings.c_lflag |= libc::ISIG;
                    // Ctrl-Z and Ctrl-\ would leave the terminal in raw mode.
                    settings.c_cc[libc::VSUSP] = libc::_POSIX_VDISABLE;
                    settings.c_cc[libc::VQUIT] = libc::_POSIX_VDISABLE;
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

    /// Burn's interface has given the terminal back.
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
        const LOWEST: libc::c_int = 19;
        let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return };
        for thread in threads.flatten() {
            let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            let id = thread.file_name().to_string_lossy().parse::<libc::id_t>();
            if let (true, Ok(id)) = (name.trim() == "train-renderer", id) {
                // SAFETY: plain system call; a thread that is gone gives an error that does not matter.
                unsafe { libc::setpriority(libc::PRIO_PROCESS, id, LOWEST) };
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
