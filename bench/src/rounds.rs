//! Times candidates in turns, so that a disturbance affects all of them. Only their ratios are
//! meaningful.

use std::time::Instant;

/// The median nanoseconds for one call of each candidate. A candidate takes the number of calls to
/// make.
pub fn compare<const N: usize>(calls: usize, candidates: [&mut dyn FnMut(usize); N]) -> [f64; N] {
    const ROUNDS: usize = 41;
    let mut taken = [const { Vec::<f64>::new() }; N];
    let mut candidates = candidates;
    for candidate in &mut candidates {
        candidate(calls);
    }
    for _ in 0..ROUNDS {
        for (candidate, taken) in candidates.iter_mut().zip(&mut taken) {
            let start = Instant::now();
            candidate(calls);
            taken.push(start.elapsed().as_nanos() as f64 / calls as f64);
        }
    }
    taken.map(|mut taken| {
        taken.sort_by(f64::total_cmp);
        taken[ROUNDS / 2]
    })
}
