//! How results are printed.

/// What is asked of a ratio.
#[derive(Clone, Copy)]
pub enum Asked {
    AtMost(f64),
    AtLeast(f64),
    /// Only told.
    Nothing,
}

pub fn section(title: &str) {
    println!("\n{title}");
}

pub fn figure(what: &str, figure: &str) {
    println!("  {what:<74} {figure:>12}");
}

pub fn nanoseconds(what: &str, nanoseconds: f64) {
    figure(what, &format!("{nanoseconds:.1} ns"));
}

pub fn ratio(what: &str, ratio: f64, asked: Asked) {
    let (asked, is_met) = match asked {
        Asked::AtMost(most) => (format!("asked: at most {most}"), ratio <= most),
        Asked::AtLeast(least) => (format!("asked: at least {least}"), ratio >= least),
        Asked::Nothing => (String::new(), true),
    };
    let missed = if is_met { "" } else { "  MISSED" };
    println!("  {what:<74} {ratio:>10.2} x  {asked}{missed}");
}
