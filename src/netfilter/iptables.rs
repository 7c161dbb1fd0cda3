//! Hold and gate by `iptables-nft` and `ip6tables-nft`: what stands, the steps to what shall stand.
//!
//! Invariants: single commands only (a table restored by `iptables-nft-restore` loses every waiting
//! packet, `-A`, `-I` and `-D` do not); at every step between two sets of rules at least the packets of
//! both are held or dropped; outside of kordon's own chains rules are deleted by what they say, never by
//! number, and only if they lead into kordon's chains.

use super::change::{Change, Verb};
use super::plan::Plan;
use super::render::{Chains, Half, iptables_chains, iptables_program, words};
use super::run::{attempt, complaint, run};
use super::{Observed, Presence};
use crate::failure::{ExitStatus, Failure};
use crate::verdict::Family;

mod listing;

use listing::{Listing, is_jump};

/// Marks the jump that bridges the moment while the jump to the gate is moved.
const MOVING: &str = "kordon-moving";

/// A word as iptables-restore reads it back: the reverse of [`listing::split_words`].
fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '"', '\\', '\t']) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\""))
}

/// Writes commands for one table of one family.
struct Steps {
    prefix: Vec<String>,
    /// Switches the table on; iptables has no word for that.
    wake: Option<Vec<String>>,
    list: Vec<Vec<String>>,
}

impl Steps {
    fn new(half: Half, family: Family) -> Self {
        let prefix = words(&[iptables_program(family), "-w", "-t", half.table()]);
        Steps { prefix, wake: None, list: Vec::new() }
    }

    fn add(&mut self, what: &[&str], rule: &[String]) {
        let what = what.iter().map(|&word| word.to_owned());
        self.list
            .push(self.prefix.iter().cloned().chain(what).chain(rule.iter().cloned()).collect());
    }

    /// The commands as lines for `iptables-restore`.
    fn as_restored(&self, half: Half) -> String {
        let mut text = format!("*{}\n", half.table());
        for argv in &self.list {
            let line: Vec<String> =
                argv.iter().skip(self.prefix.len()).map(|w| quoted(w)).collect();
            text.push_str(&line.join(" "));
            text.push('\n');
        }
        text.push_str("COMMIT\n");
        text
    }

    /// Makes `chain` say `rules`. New rules go in front, the last one first, so that what was matched
    /// before and what will be matched are both matched until the old rules go, from the end.
    fn fill(&mut self, listing: &Listing, chain: &str, rules: &[Vec<String>]) {
        if listing.says(chain, rules) {
            return;
        }
        if !listing.chains.contains_key(chain) {
            self.add(&["-N", chain], &[]);
        }
        let old = listing.chain(chain).len();
        if old == 0 && !listing.chains.contains_key(chain) {
            for rule in rules {
                self.add(&["-A", chain], rule);
            }
            return;
        }
        for rule in rules.iter().rev() {
            self.add(&["-I", chain, "1"], rule);
        }
        for number in (1..=old).rev() {
            self.add(&["-D", chain, &(rules.len() + number).to_string()], &[]);
        }
    }

    fn install(&mut self, listing: &Listing, half: Half, wanted: &Chains<Vec<String>>) {
        self.fill(listing, half.body_chain(), &wanted.body);
        self.fill(listing, half.criteria_chain(), &wanted.criteria);
        let jump = words(&["-j", half.criteria_chain()]);
        let base = half.base();
        let lines = listing.chain(base);
        let jumps = lines.iter().filter(|line| is_jump(half, line)).count();
        match half.is_gate() {
            false => {
                let last = lines.last().is_some_and(|line| is_jump(half, line));
                if !last {
                    self.add(&["-A", base], &jump);
                }
                // By what it says, the first one goes.
                for _ in 0..jumps - usize::from(last) {
                    self.add(&["-D", base], &jump);
                }
            }
            true => {
                let first = lines.first().is_some_and(|line| is_jump(half, line));
                if jumps == 0 {
                    self.add(&["-I", base, "1"], &jump);
                } else if !first || jumps > 1 {
                    // Two jumps at once drop what was accepted (the first clears the mark); none leaks.
                    let bridge =
                        words(&["-m", "comment", "--comment", MOVING, "-j", half.criteria_chain()]);
                    self.add(&["-I", base, "1"], &bridge);
                    for _ in 0..jumps {
                        self.add(&["-D", base], &jump);
                    }
                    self.add(&["-I", base, "1"], &jump);
                    self.add(&["-D", base], &bridge);
                }
            }
        }
        self.drop_strays(listing, half);
    }

    fn remove(&mut self, listing: &Listing, half: Half) {
        let (jump, base) = (words(&["-j", half.criteria_chain()]), half.base());
        for _ in listing.chain(base).iter().filter(|line| is_jump(half, line)) {
            self.add(&["-D", base], &jump);
        }
        self.drop_strays(listing, half);
        let chains = [half.criteria_chain(), half.body_chain()];
        let here = chains.iter().filter(|&&chain| listing.chains.contains_key(chain));
        for chain in here.clone() {
            self.add(&["-F", chain], &[]);
        }
        for chain in here {
            self.add(&["-X", chain], &[]);
        }
    }

    fn drop_strays(&mut self, listing: &Listing, half: Half) {
        for (chain, rule) in listing.strays(half) {
            self.add(&["-D", chain], rule);
        }
    }
}

/// The commands of a first install, in order.
pub(super) fn first_install(plan: &Plan) -> Vec<Vec<String>> {
    let nothing = Listing::default();
    let mut list = Vec::new();
    for half in Half::ALL.into_iter().filter(|half| half.is_planned(plan)) {
        for family in Family::ALL {
            let mut steps = Steps::new(half, family);
            steps.install(&nothing, half, &iptables_chains(plan, half, family));
            list.append(&mut steps.list);
        }
    }
    list
}

/// Puts the plan into force; returns one line per half and family that was changed.
///
/// The planned gates of each family, then hold; then what is not planned goes, hold before gate. What stands in the way
/// of one half does not keep the others from their places, but nothing goes then.
pub(super) fn apply(plan: &Plan) -> Result<Vec<Change>, Failure> {
    let planned = Half::ALL.into_iter().filter(|half| half.is_planned(plan));
    let mut changes = install(plan, planned)?;
    for half in Half::ALL.into_iter().rev().filter(|half| !half.is_planned(plan)) {
        changes.append(&mut withdraw(half)?);
    }
    Ok(changes)
}

/// Puts the planned gates alone into force; hold stays as it is.
pub(super) fn apply_gate(plan: &Plan) -> Result<Vec<Change>, Failure> {
    install(plan, Half::ALL.into_iter().filter(|half| half.is_gate() && half.is_planned(plan)))
}

/// Removes hold, then the gates, of each family; returns one line per half and family that was there.
pub(super) fn remove() -> Result<Vec<Change>, Failure> {
    let mut removed = Vec::new();
    for half in Half::ALL.into_iter().rev() {
        removed.append(&mut withdraw(half)?);
    }
    Ok(removed)
}

/// What [`apply`] would change, after `iptables-restore --test` has taken it. Nothing is sent to be kept.
pub(super) fn check(plan: &Plan) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    for half in Half::ALL {
        for family in Family::ALL {
            let todo = match half.is_planned(plan) {
                true => installation(plan, half, family)?.map_err(|obstacle| obstacle.0)?,
                false => withdrawal(half, family)?,
            };
            let Some((change, steps)) = todo else { continue };
            let program = format!("{}-restore", iptables_program(family));
            let argv = words(&[&program, "--noflush", "--test"]);
            run(&argv, &steps.as_restored(half))?;
            changes.push(change);
        }
    }
    Ok(changes)
}

fn install(plan: &Plan, halves: impl Iterator<Item = Half>) -> Result<Vec<Change>, Failure> {
    let (mut changes, mut in_the_way) = (Vec::new(), None);
    for half in halves {
        for family in Family::ALL {
            match installation(plan, half, family)? {
                Ok(Some((change, steps))) => {
                    carry_out(&steps)?;
                    changes.push(change);
                }
                Ok(None) => {}
                Err(Obstacle(failure)) => {
                    in_the_way.get_or_insert(failure);
                }
            }
        }
    }
    in_the_way.map_or(Ok(changes), Err)
}

fn withdraw(half: Half) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    for family in Family::ALL {
        if let Some((change, steps)) = withdrawal(half, family)? {
            carry_out(&steps)?;
            changes.push(change);
        }
    }
    Ok(changes)
}

/// What is to be done, in words and in commands.
type ToDo = Option<(Change, Steps)>;

/// What others have made of a chain, and kordon does not mend.
struct Obstacle(Failure);

fn installation(
    plan: &Plan,
    half: Half,
    family: Family,
) -> Result<Result<ToDo, Obstacle>, Failure> {
    let listing = Listing::ask(half, family)?;
    let wanted = iptables_chains(plan, half, family);
    let verb = match listing.presence(half, &wanted) {
        Presence::AsPlanned => return Ok(Ok(None)),
        Presence::Absent => Verb::Install,
        Presence::Different(_) => Verb::Correct,
    };
    if listing.is_unhooked(half) {
        return Ok(Err(Obstacle(unhooked(half, family))));
    }
    let mut steps = Steps::new(half, family);
    if listing.asleep {
        steps.wake = Some(words(&["nft", "add", "table", nft_family(family), half.table()]));
    }
    steps.install(&listing, half, &wanted);
    Ok(Ok(Some((Change::new(verb, place(half, family)), steps))))
}

fn withdrawal(half: Half, family: Family) -> Result<ToDo, Failure> {
    let mut steps = Steps::new(half, family);
    steps.remove(&Listing::ask(half, family)?, half);
    let something = !steps.list.is_empty();
    Ok(something.then(|| (Change::new(Verb::Remove, place(half, family)), steps)))
}

fn carry_out(steps: &Steps) -> Result<(), Failure> {
    steps.wake.iter().chain(&steps.list).try_for_each(|argv| run(argv, "").map(drop))
}

/// A base chain without a hook may hold rules of others: to delete it is not kordon's.
fn unhooked(half: Half, family: Family) -> Failure {
    let (base, table) = (half.base(), half.table());
    let place = format!("{} {table} {base}", nft_family(family));
    Failure::new(
        ExitStatus::Failed,
        format!(
            "table {table}, {}: somebody made the chain {base} anew, without a hook: nothing enters it, nothing is held or \
             dropped there; delete it (`nft 'flush chain {place}; delete chain {place}'`), then `kordon rules apply`",
            family.label()
        ),
    )
}

fn past(half: Half, family: Family, number: usize) -> String {
    let (base, table, program) = (half.base(), half.table(), iptables_program(family));
    format!(
        "{}: rule {number} of {table} {base} lets packets of cameras past hold, unjudged; it is not kordon's: \
         `{program} -t {table} -D {base} {number}` takes it away",
        family.label()
    )
}

/// nftables' name of a family.
const fn nft_family(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn place(half: Half, family: Family) -> String {
    format!("{} for {} (iptables, table {})", half.label(), family.label(), half.table())
}

/// Whether the kernel lets us look at all (it does not where others put rules of nftables' own into a
/// table of iptables').
pub(super) fn look() -> Result<(), Failure> {
    for family in Family::ALL {
        Listing::ask(Half::Hold, family)?;
        Listing::ask(Half::Gate, family)?;
    }
    Ok(())
}

/// What stands in the kernel, compared with the plan.
pub(super) fn observe(plan: &Plan) -> Result<Observed, Failure> {
    let mut observed = Observed::nothing(plan);
    for family in Family::ALL {
        let index = family.index();
        // The halves on the input hook stand in the same tables.
        let hold = Listing::ask(Half::Hold, family)?;
        let gate = Listing::ask(Half::Gate, family)?;
        for half in Half::ALL {
            let listing = if half.is_gate() { &gate } else { &hold };
            let wanted = iptables_chains(plan, half, family);
            observed.of_mut(half)[index] = listing.presence(half, &wanted);
            if !half.is_gate()
                && half.is_planned(plan)
                && let Some(number) = listing.past(half, &wanted.criteria)
            {
                observed.past.push(past(half, family, number));
            }
            let dropped = |marked: bool| -> u64 {
                let drops = listing.chain(half.body_chain()).iter();
                let drops = drops.filter(|line| line.words.ends_with(&words(&["-j", "DROP"])));
                let by = |words: &[String]| words.iter().any(|word| word == "--mark") == marked;
                drops.filter(|line| by(&line.words)).map(|line| line.packets).sum()
            };
            match half {
                Half::Hold => observed.held[index] = listing.queued(half),
                Half::HoldInput => observed.held[2 + index] = listing.queued(half),
                Half::Gate | Half::GateInput => {}
            }
            if half.is_gate() && listing.chains.contains_key(half.body_chain()) {
                *observed.gate_dropped[index].get_or_insert(0) += dropped(true);
                if half.on_input() {
                    observed.tunnels_dropped[index] = Some(dropped(false));
                }
            }
        }
    }
    Ok(observed)
}

/// Asks whether the kernel has what the rules need, without changing anything.
///
/// # Errors
/// 69 if a program or a kernel module is missing, 77 without the permission.
pub(super) fn probe() -> Result<(), Failure> {
    let input = "*mangle\n:kordon-probe -\n-A kordon-probe -m mark ! --mark 1 -j MARK --set-xmark 0/1\n\
                 -A kordon-probe -j NFQUEUE --queue-num 0\nCOMMIT\n";
    for family in Family::ALL {
        let program = format!("{}-restore", iptables_program(family));
        let argv = words(&[&program, "--noflush", "--test"]);
        let output = attempt(&argv, input)?;
        if !output.success || output.stderr.contains("missing kernel module") {
            return Err(complaint(&argv, &output.stderr));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
