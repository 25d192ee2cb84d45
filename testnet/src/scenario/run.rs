//! Running a scenario: the network comes up, steps begin when their time has come, everything
//! that was broken is mended, and every bank is asked whether all of it holds.
//!
//! ```text
//!   up -> steps, each on a thread of its own -> mend -> audit -> down
//! ```
//!
//! Invariants:
//! * However a run ends (done, a false claim, an error, a signal), no process of it is left
//!   running, unless it was asked to leave the network up and nothing went wrong.
//! * The first thing that is wrong ends the run; what came of it is not told as a mistake.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use tokio::sync::watch;

use super::acts;
use super::banks;
use super::plan::{Scenario, Step};
use super::stage::{Done, Stage, Trouble};
use super::story::{Failure, Teller, Verdict};
use super::words::Happening;
use crate::local::audit;
use crate::local::layout::Layout;
use crate::local::process;
use crate::local::start;
use crate::local::state::Held;
use crate::local::up::{self, Plan};

/// Longest wait of the loop that begins steps.
const LOOK: Duration = Duration::from_millis(10);
/// How long the network may take to come to rest in the end, beside a settlement's life.
const REST: Duration = Duration::from_secs(45);
/// Events of each bank that a failure shows.
const SHOWN: usize = 10;
/// Lines of a process's log that are looked through for warnings, and that are shown.
const LOG_LINES: usize = 200;
const WARNINGS: usize = 3;

/// How a scenario is run.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The file's name, for the story.
    pub file: &'a str,
    /// The network's folder.
    pub dir: &'a Path,
    /// What everything random is drawn from.
    pub seed: u64,
    /// Leave the network up.
    pub keep: bool,
}

/// Runs a scenario. The halt is sent by whoever hears a signal.
///
/// # Errors
/// What kept it from being run at all, as `Q-2324`, `Q-2352`; a scenario that went another way is
/// told in the verdict.
pub fn run(
    scenario: &Scenario,
    wish: &Wish<'_>,
    halt: &watch::Sender<bool>,
    teller: &Teller,
) -> Result<Verdict, Refusal> {
    teller.say(&format!("\n== {}\n   {} (--seed {})\n", scenario.title, wish.file, wish.seed))?;
    let layout = Layout::new(wish.dir);
    if layout.state().exists() {
        let what = format!("{} holds one already", wish.dir.display());
        return Err(Refusal::new(Code::OtherLocalNetwork, what));
    }
    let held = bring_up(scenario, wish, layout, halt, teller)?;
    let begun = Instant::now();
    let stage = Stage::new(scenario, held, wish.seed, teller.begun(), halt.clone());
    let stage = match stage {
        Ok(stage) => stage,
        // The network's state is in its folder.
        Err(refusal) => {
            end(Held::open(Layout::new(wish.dir))?)?;
            return Err(refusal);
        }
    };
    let result = play(&stage, teller);
    let halted = *halt.borrow() && !matches!(&result, Err(failed) if failed.own);
    let failure = result.as_ref().err().map(|failed| tell_failure(&stage, failed));
    let audit = result.ok();
    let held = stage.into_held();
    let passed = failure.is_none();
    if !(wish.keep && passed && !halted) {
        end(held)?;
    }
    if halted {
        return Err(Refusal::new(Code::BrokenOff, format!("{} is left", wish.dir.display())));
    }
    let left = wish.keep || !passed;
    if !left {
        std::fs::remove_dir_all(wish.dir)
            .map_err(|error| quadrille_node::files::cannot_write(wish.dir, &error))?;
    }
    Ok(Verdict {
        file: wish.file.to_owned(),
        title: scenario.title.clone(),
        seed: wish.seed,
        passed,
        seconds: begun.elapsed().as_secs_f64(),
        steps: teller.lines(),
        audit,
        failure,
        folder: left.then(|| wish.dir.to_owned()),
    })
}

/// Ends every process of a network.
fn end(mut held: Held) -> Result<(), Refusal> {
    start::down(&mut held).map(|_| ())
}

fn bring_up(
    scenario: &Scenario,
    wish: &Wish<'_>,
    layout: Layout,
    halt: &watch::Sender<bool>,
    teller: &Teller,
) -> Result<Held, Refusal> {
    let trusted = |bank: &String| {
        let domain = format!("{bank}.example");
        let given = scenario.means.limits.iter();
        given.clone().any(|line| line.peer.as_str() == domain && !line.limit.is_zero())
    };
    let plan = Plan {
        banks: scenario.banks.iter().map(|bank| (bank.clone(), trusted(bank))).collect(),
        seed: Some(wish.seed),
        suite: scenario.suite,
        timing: scenario.timing,
        means: Some(scenario.means.clone()),
    };
    let mut say = |what: &str| {
        let _ = teller.say(&format!("{:8.2} s  {what}\n", teller.begun().elapsed().as_secs_f64()));
    };
    let broken_off = || Refusal::new(Code::BrokenOff, format!("{} is left", wish.dir.display()));
    match up::up(layout, &plan, &mut say) {
        Ok(held) if *halt.borrow() => {
            end(held)?;
            Err(broken_off())
        }
        Ok(held) => Ok(held),
        Err(failed) => {
            if let Some(held) = failed.held {
                end(*held)?;
            }
            Err(if *halt.borrow() { broken_off() } else { failed.refusal })
        }
    }
}

/// What is wrong, and where.
struct Failed {
    step: String,
    line: usize,
    what: String,
    trouble: Trouble,
    /// Whether it is the scenario's, and not a signal's.
    own: bool,
}

impl Failed {
    fn at_the_end(what: &str, trouble: Trouble) -> Self {
        let own = trouble.code != Code::BrokenOff;
        Self { step: "the end".to_owned(), line: 0, what: what.to_owned(), trouble, own }
    }
}

/// All steps and the end. Returns what the audit looked at.
fn play(stage: &Stage<'_>, teller: &Teller) -> Result<String, Failed> {
    let waking = stage.wake_traders();
    waking
        .map_err(|refusal| Failed::at_the_end("the customers' keys are opened", refusal.into()))?;
    steps(stage, teller)?;
    mend(stage, teller)
        .map_err(|trouble| Failed::at_the_end("what was broken is mended", trouble))?;
    audit(stage, teller).map_err(|trouble| {
        Failed::at_the_end("every bank is asked whether all of this holds together", trouble)
    })
}

/// A step that has ended, or has begun.
enum News {
    Ended(usize, Result<Done, Trouble>),
}

/// Begins every step when its time has come, until all are done or one is wrong.
fn steps(stage: &Stage<'_>, teller: &Teller) -> Result<(), Failed> {
    let all = &stage.scenario.steps;
    let begun = Instant::now();
    let (sender, news) = mpsc::channel::<News>();
    let mut order = Order::new(stage);
    let mut failed: Option<Failed> = None;
    std::thread::scope(|scope| {
        while order.running > 0 || (failed.is_none() && !stage.is_halted() && order.is_waiting()) {
            if failed.is_none() && !stage.is_halted() {
                for (index, mark) in order.ready(stage, begun.elapsed()) {
                    let Some(step) = all.get(index) else { continue };
                    let sender = sender.clone();
                    scope.spawn(move || {
                        let result = await_condition(stage, step, mark)
                            .and_then(|()| acts::act(stage, index, step));
                        let _ = sender.send(News::Ended(index, result));
                    });
                }
            }
            match news.recv_timeout(LOOK) {
                Ok(News::Ended(index, result)) => {
                    let Some(step) = all.get(index) else { continue };
                    let told = order.ended(stage, index, step, result, teller);
                    if let Err(trouble) = told
                        && failed.is_none()
                    {
                        failed = Some(trouble);
                        stage.halt();
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    });
    match failed {
        Some(failed) => Err(failed),
        None if stage.is_halted() => {
            let refusal = Refusal::new(Code::BrokenOff, "a signal came");
            Err(Failed::at_the_end("the steps are done", refusal.into()))
        }
        None => Ok(()),
    }
}

/// Which steps are done, and when those that wait may begin.
struct Order {
    /// When each step that has begun did, by what the banks had told until then.
    marks: BTreeMap<usize, u64>,
    /// When each step was done, in time of the run.
    done: BTreeMap<usize, Duration>,
    /// What was drawn for each: not before, and how long after the steps before it.
    drawn: Vec<(Duration, Duration)>,
    running: usize,
    first_mark: u64,
    count: usize,
    begun: Instant,
}

impl Order {
    fn new(stage: &Stage<'_>) -> Self {
        let draw = |(index, step): (usize, &Step)| {
            // Its own numbers, so that what the step itself draws does not depend on it.
            let mut random = stage.random(index.saturating_add(stage.scenario.steps.len()));
            let drawn = |it: &super::words::Spread<Duration>| it.draw(&mut random);
            let at = step.begins.at.as_ref().map(drawn).unwrap_or_default();
            let drawn = |it: &super::words::Spread<Duration>| it.draw(&mut random);
            let pause = step.begins.pause.as_ref().map(drawn).unwrap_or_default();
            (at, pause)
        };
        Self {
            marks: BTreeMap::new(),
            done: BTreeMap::new(),
            drawn: stage.scenario.steps.iter().enumerate().map(draw).collect(),
            running: 0,
            first_mark: stage.history.mark(),
            count: stage.scenario.steps.len(),
            begun: Instant::now(),
        }
    }

    fn is_waiting(&self) -> bool {
        self.marks.len() < self.count
    }

    /// The steps whose time has come, and since when what they wait for counts.
    fn ready(&mut self, stage: &Stage<'_>, now: Duration) -> Vec<(usize, u64)> {
        let mut ready = Vec::new();
        for (index, step) in stage.scenario.steps.iter().enumerate() {
            if self.marks.contains_key(&index) {
                continue;
            }
            let (at, pause) = self.drawn.get(index).copied().unwrap_or_default();
            let before: Option<Vec<Duration>> =
                step.begins.after.iter().map(|other| self.done.get(other).copied()).collect();
            let Some(before) = before else { continue };
            let after = before.into_iter().max().unwrap_or_default();
            if now >= at && now >= after.saturating_add(pause) {
                let since = step.begins.after.iter().filter_map(|other| self.marks.get(other));
                ready.push((index, since.max().copied().unwrap_or(self.first_mark)));
            }
        }
        for (index, _) in &ready {
            self.marks.insert(*index, stage.history.mark());
            self.running = self.running.saturating_add(1);
        }
        ready
    }

    fn ended(
        &mut self,
        stage: &Stage<'_>,
        index: usize,
        step: &Step,
        result: Result<Done, Trouble>,
        teller: &Teller,
    ) -> Result<(), Failed> {
        self.running = self.running.saturating_sub(1);
        let failed = |trouble: Trouble| Failed {
            step: step.name.clone(),
            line: step.line,
            what: acts::describe(stage, step),
            own: trouble.code != Code::BrokenOff,
            trouble,
        };
        let done = result.map_err(failed)?;
        let told = teller.tell(&step.name, &done.what, done.evidence.clone());
        stage.note(index, done);
        self.done.insert(index, self.begun.elapsed());
        told.map_err(|refusal| failed(refusal.into()))
    }
}

/// Waits until what a step waits for has happened.
fn await_condition(stage: &Stage<'_>, step: &Step, since: u64) -> Result<(), Trouble> {
    let Some((bank, happening)) = &step.begins.when else { return Ok(()) };
    let expected = match happening {
        Happening::Logs(what) => format!("{bank} logs {what}"),
        Happening::Says(what) => format!("{bank} says {what}"),
        Happening::Hears(what) => format!("{bank} hears {what}"),
        Happening::Ends => format!("a settlement ends at {bank}"),
        Happening::Dies => format!("{bank} dies"),
    };
    stage.until(stage.patience(step), &expected, || {
        let has = match happening {
            Happening::Dies => {
                let held = stage.held();
                held.state.bank(bank).is_ok_and(|known| !known.is_up())
            }
            Happening::Logs(_) | Happening::Says(_) | Happening::Hears(_) | Happening::Ends => {
                stage.history.has(bank, happening, since)
            }
        };
        if has { Ok(()) } else { Err("it has not".to_owned()) }
    })
}

/// Starts what does not run.
fn mend(stage: &Stage<'_>, teller: &Teller) -> Result<(), Trouble> {
    let back = banks::start_all(stage)?;
    if !back.is_empty() {
        teller.tell("the end", &format!("{} started again", back.join(", ")), None)?;
    }
    Ok(())
}

/// Nothing is open any more, and everything that is between the banks holds.
fn audit(stage: &Stage<'_>, teller: &Teller) -> Result<String, Trouble> {
    let life = Duration::from_millis(stage.scenario.timing.life_ms);
    let patience = life.saturating_add(REST);
    for bank in &stage.scenario.banks {
        stage.until(patience, &format!("no settlement is open at {bank}"), || {
            let client = stage.client(bank).map_err(|refusal| refusal.to_string())?;
            let open = Some(quadrille_node::api::dto::SettlementState::Open);
            let open = stage.ask(bank, client.settlements(open, 100));
            let open = open.map_err(|refusal| refusal.to_string())?;
            match open.first() {
                None => Ok(()),
                Some(first) => Err(format!("{} are open, {} first", open.len(), first.settlement)),
            }
        })?;
    }
    let state = stage.held().state.clone();
    let report = audit::audit(&stage.layout, &state, patience)?;
    let looked = format!(
        "{} banks, {} assets, {} views of settlements, {} signed batches",
        report.banks, report.assets, report.settlements, report.batches
    );
    if report.findings.is_empty() {
        let what = format!("atomicity, conservation, mirrors, nothing stuck, logs: {looked}");
        teller.tell("audit", &what, None)?;
        return Ok(looked);
    }
    let found: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{}: {}", finding.rule, finding.what))
        .collect();
    Err(Trouble::new("atomicity, conservation, mirrors, nothing stuck, logs", found.join("; ")))
}

/// What is told of a failure: what the banks said before it, and what their processes warned of.
fn tell_failure(stage: &Stage<'_>, failed: &Failed) -> Failure {
    let mut warnings = Vec::new();
    for bank in &stage.scenario.banks {
        let lines = process::tail(&stage.layout.log(bank), LOG_LINES).unwrap_or_default();
        let loud = lines.iter().filter(|line| line.contains("WARN") || line.contains("ERROR"));
        let loud: Vec<&String> = loud.collect();
        for line in loud.iter().rev().take(WARNINGS).rev() {
            warnings.push(format!("{bank}: {line}"));
        }
    }
    Failure {
        step: failed.step.clone(),
        line: failed.line,
        what: failed.what.clone(),
        expected: failed.trouble.expected.clone(),
        found: failed.trouble.found.clone(),
        before: stage.history.last(SHOWN),
        warnings,
    }
}
