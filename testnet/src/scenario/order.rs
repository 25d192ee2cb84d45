//! Which steps wait for each other.

use std::collections::BTreeSet;

/// The steps that wait for themselves, each over the others that it waits for; `after` says for
/// every step which ones it waits for.
#[must_use]
pub fn in_circles(after: &[Vec<usize>]) -> Vec<usize> {
    let mut done: BTreeSet<usize> = BTreeSet::new();
    // As many rounds as there are steps: in each at least one more is done, or none ever will be.
    for _ in 0..after.len() {
        for (step, waits) in after.iter().enumerate() {
            if waits.iter().all(|other| done.contains(other)) {
                done.insert(step);
            }
        }
    }
    // Those that only wait for a circle are not in it.
    let stuck: Vec<usize> = (0..after.len()).filter(|step| !done.contains(step)).collect();
    let reaches_itself = |step: &usize| {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut next: Vec<usize> = after.get(*step).cloned().unwrap_or_default();
        while let Some(other) = next.pop() {
            if other == *step {
                return true;
            }
            if seen.insert(other) {
                next.extend(after.get(other).into_iter().flatten());
            }
        }
        false
    };
    stuck.into_iter().filter(reaches_itself).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_and_what_hangs_on_it_is_not_in_it() {
        assert_eq!(in_circles(&[vec![], vec![0], vec![0, 1]]), Vec::<usize>::new());
        assert_eq!(in_circles(&[vec![2], vec![0], vec![1], vec![2]]), [0, 1, 2]);
        assert_eq!(in_circles(&[vec![0]]), [0]);
    }
}
