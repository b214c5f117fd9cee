//! The terminal of this process, on stderr: lines that scroll, and below them an area that stays.
//! The one place that draws, so that lines and area do not get in each other's way.
//!
//! Lines are ordinary output: they scroll away, and can be searched and copied. On anything but a
//! terminal there is no area, and lines go to stderr as they are.

use std::io::{self, IsTerminal as _, Write};
use std::sync::LazyLock;
use std::time::Duration;

use console::{Term, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is drawn below the lines. It draws itself often enough on its own request only.
static DRAWN: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15)));

/// Columns when the terminal does not say.
const COLUMNS: usize = 80;
/// Rows when the terminal does not say.
const ROWS: usize = 24;

/// Whether stderr and stdout are a terminal that can be drawn on.
pub(super) fn is_there() -> bool {
    io::stdout().is_terminal() && Term::stderr().features().is_attended() && !is_dumb()
}

/// Terminals that only print.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|name| name == "dumb")
}

/// Columns and rows.
pub(super) fn size() -> (usize, usize) {
    let (rows, columns) = Term::stderr().size_checked().unwrap_or((0, 0));
    let or = |given: u16, default| if given == 0 { default } else { usize::from(given) };
    (or(columns, COLUMNS), or(rows, ROWS))
}

/// A spinner below the lines.
pub(super) fn spinner(style: ProgressStyle) -> ProgressBar {
    let bar = DRAWN.add(ProgressBar::new_spinner());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Writes to stdout, above the area.
pub(super) fn stdout(text: &str) -> io::Result<()> {
    let write = || {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    };
    DRAWN.suspend(write)
}

/// An area of lines that stays below everything else; gone when dropped.
pub(super) struct Area(ProgressBar);

impl Area {
    /// An area without lines.
    pub(super) fn new() -> Self {
        let bar = DRAWN.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows these lines, cut at the right edge, in place of those before.
    pub(super) fn show(&self, lines: &[String]) {
        // In the last column a terminal may begin a new line, or not.
        let columns = size().0.saturating_sub(1);
        let cut: Vec<_> = lines.iter().map(|line| truncate_str(line, columns, "…")).collect();
        self.0.set_message(cut.join("\n"));
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Stderr, above the area. Each write should be whole lines.
#[derive(Clone, Copy)]
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if DRAWN.is_hidden() {
            return io::stderr().write(bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        // One drawing for the lines and the area, so that nothing flickers.
        DRAWN.println(text.strip_suffix('\n').unwrap_or(&text))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
