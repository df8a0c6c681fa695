//! Prints results.

/// The goal of a ratio.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    None,
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

pub fn ratio(what: &str, ratio: f64, goal: Goal) {
    let (goal, is_met) = match goal {
        Goal::AtMost(most) => (format!("goal: at most {most}"), ratio <= most),
        Goal::AtLeast(least) => (format!("goal: at least {least}"), ratio >= least),
        Goal::None => (String::new(), true),
    };
    let missed = if is_met { "" } else { "  MISSED" };
    println!("  {what:<74} {ratio:>10.2} x  {goal}{missed}");
}
