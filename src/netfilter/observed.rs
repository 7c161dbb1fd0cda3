//! What stands in the kernel, compared with a plan.

use std::fmt;

use super::plan::Plan;
use super::render::Half;
use crate::verdict::Family;

/// How far one half of the rules is what the plan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nothing of it is there.
    Absent,
    /// Exactly as planned, in its place.
    AsPlanned,
    /// There, but not so; says what.
    Different(String),
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Presence::Absent => f.write_str("absent"),
            Presence::AsPlanned => f.write_str("present"),
            Presence::Different(what) => write!(f, "wrong: {what}"),
        }
    }
}

/// What stands in the kernel, compared with the plan. Arrays are in the order of [`Family::index`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The plan has no gate.
    pub open: bool,
    /// The plan holds what is for the gateway itself.
    pub hold_input: bool,
    /// The plan has a gate on the input hook.
    pub gate_input: bool,
    /// Hold, per family.
    pub hold: [Presence; 2],
    /// The gate, per family.
    pub gate: [Presence; 2],
    /// Hold and the gate on the input hook, per family.
    pub input: [[Presence; 2]; 2],
    /// Packets that the gates dropped for want of a mark, per family, since their rules (iptables) or their table
    /// (nftables) were made; `None` where there is no counter.
    pub gate_dropped: [Option<u64>; 2],
    /// Packets for the gateway itself that were dropped because they wrap others; the same.
    pub tunnels_dropped: [Option<u64>; 2],
    /// Packets that hold handed to the queues, as each of the kernel's counters has it: of each family on the forward
    /// hook, then on the input hook, since their rules were made (iptables); or the first of all, since their table was
    /// (nftables). 0 where there is no counter.
    pub held: [u64; 4],
    /// Rules of others that let all packets, or those of a criterion, past a hold that stands as planned, in words
    /// (iptables): they are not kordon's to take away.
    pub past: Vec<String>,
    /// A chain of kordon's hangs elsewhere than it should (nftables): it can only be made anew.
    pub misplaced: bool,
}

impl Observed {
    pub(super) const fn nothing(plan: &Plan) -> Self {
        const ABSENT: [Presence; 2] = [Presence::Absent, Presence::Absent];
        Observed {
            open: !plan.gate,
            hold_input: Half::HoldInput.is_planned(plan),
            gate_input: Half::GateInput.is_planned(plan),
            hold: ABSENT,
            gate: ABSENT,
            input: [ABSENT, ABSENT],
            gate_dropped: [None, None],
            tunnels_dropped: [None, None],
            held: [0; 4],
            past: Vec::new(),
            misplaced: false,
        }
    }

    pub(super) const fn of(&self, half: Half) -> &[Presence; 2] {
        match half {
            Half::Hold => &self.hold,
            Half::Gate => &self.gate,
            Half::HoldInput => &self.input[0],
            Half::GateInput => &self.input[1],
        }
    }

    pub(super) const fn of_mut(&mut self, half: Half) -> &mut [Presence; 2] {
        match half {
            Half::Hold => &mut self.hold,
            Half::Gate => &mut self.gate,
            Half::HoldInput => &mut self.input[0],
            Half::GateInput => &mut self.input[1],
        }
    }

    const fn is_planned(&self, half: Half) -> bool {
        match half {
            Half::Hold => true,
            Half::Gate => !self.open,
            Half::HoldInput => self.hold_input,
            Half::GateInput => self.gate_input,
        }
    }

    fn is_right(&self, half: Half, family: Family) -> bool {
        let wanted = if self.is_planned(half) { Presence::AsPlanned } else { Presence::Absent };
        self.of(half)[family.index()] == wanted
    }

    /// Everything stands as planned, and nothing that is not planned.
    pub fn in_force(&self) -> bool {
        Half::ALL
            .into_iter()
            .all(|half| Family::ALL.into_iter().all(|family| self.is_right(half, family)))
    }

    /// What wraps other packets is dropped on its way to the gateway, in both families.
    pub fn drops_tunnels(&self, plan: &Plan) -> bool {
        let stands = |family: Family| self.is_right(Half::GateInput, family);
        self.gate_input && plan.drop_tunnels && Family::ALL.into_iter().all(stands)
    }

    /// What is missing or altered, a line per family; empty if all is [in force](Self::in_force).
    pub fn faults(&self) -> Vec<String> {
        let wrong = |family: Family| {
            let right = Half::ALL.into_iter().all(|half| self.is_right(half, family));
            (!right).then(|| format!("{}: {}", family.label(), self.halves(family)))
        };
        Family::ALL.into_iter().filter_map(wrong).collect()
    }

    /// Hold and gate, and what is planned or found on the input hook.
    pub fn halves(&self, family: Family) -> String {
        let halves = [Half::Hold, Half::Gate, Half::HoldInput, Half::GateInput];
        let said = |half: &Half| {
            let found = &self.of(*half)[family.index()];
            let worth = !half.on_input() || self.is_planned(*half) || *found != Presence::Absent;
            worth.then(|| format!("{} {found}", half.label()))
        };
        halves.iter().filter_map(said).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for family in Family::ALL {
            write!(f, "{}: {}", family.label(), self.halves(family))?;
            match self.gate_dropped[family.index()] {
                Some(packets) => writeln!(f, "; {packets} packets dropped by the gate")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
