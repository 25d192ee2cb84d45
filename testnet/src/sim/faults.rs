//! What may go wrong in one run. The rates are drawn per seed: some seeds are calm.

use super::rng::Stream;

/// What may happen to packets; rates in ten thousand.
#[derive(Debug, Clone, Copy)]
pub struct NetworkFaults {
    /// Lost.
    pub loss: u64,
    /// Arriving twice.
    pub duplicate: u64,
    /// Overtaken by later ones.
    pub reorder: u64,
    /// Longest base delay of a link.
    pub delay_max_ms: u64,
    /// Longest addition per packet.
    pub jitter_max_ms: u64,
    /// A cut, per look.
    pub cut: u64,
    /// Whether one node receives slowly.
    pub slow_peer: bool,
}

impl NetworkFaults {
    /// A network that delivers everything soon and in order.
    pub const NONE: Self = Self {
        loss: 0,
        duplicate: 0,
        reorder: 0,
        delay_max_ms: 20,
        jitter_max_ms: 5,
        cut: 0,
        slow_peer: false,
    };
}

/// What may happen to a node; rates in ten thousand.
#[derive(Debug, Clone, Copy)]
pub struct NodeFaults {
    /// A crash inside a turn, at a drawn point.
    pub crash: u64,
    /// A write or sync that fails, in a turn.
    pub disk_error: u64,
    /// A restart that finds an old copy of the log.
    pub restore: u64,
    /// A second process started on the same guard, per look.
    pub double_start: u64,
    /// A clock that jumps, per look.
    pub clock_jump: u64,
    /// Largest offset and jump.
    pub clock_off_ms: u64,
    /// Largest drift in millionths.
    pub clock_drift_ppm: u64,
    /// A rotation of a domain's key, per look.
    pub rotate: u64,
    /// A byzantine act, per frame that the byzantine node sends.
    pub lie: u64,
}

impl NodeFaults {
    /// Nothing happens.
    pub const NONE: Self = Self {
        crash: 0,
        disk_error: 0,
        restore: 0,
        double_start: 0,
        clock_jump: 0,
        clock_off_ms: 0,
        clock_drift_ppm: 0,
        rotate: 0,
        lie: 0,
    };
}

/// One run's faults.
#[derive(Debug, Clone, Copy)]
pub struct FaultPlan {
    /// Of the network.
    pub network: NetworkFaults,
    /// Of the nodes.
    pub nodes: NodeFaults,
    /// Whether one node lies.
    pub byzantine: bool,
}

impl FaultPlan {
    /// Draws a plan: a quarter of the seeds are calm, the rest are hostile in some respects.
    #[must_use]
    pub fn draw(random: &mut Stream) -> Self {
        let mut plan =
            Self { network: NetworkFaults::NONE, nodes: NodeFaults::NONE, byzantine: false };
        let calm = random.chance(2_500);
        plan.network.delay_max_ms = random.between(1, 120);
        plan.network.jitter_max_ms = random.between(0, 60);
        let draws = plan.draw_network(random);
        let nodes = draw_nodes(random);
        let byzantine = random.chance(3_000);
        let restores = random.chance(4_500);
        if calm {
            return Self { network: NetworkFaults::NONE, ..plan };
        }
        plan.network = draws;
        plan.nodes = nodes;
        plan.byzantine = byzantine;
        // A liar that also keeps what a restored node needs can block it for good; that is a
        // matter for operators, not for a simulator that demands that every run ends.
        if byzantine || !restores {
            plan.nodes.restore = 0;
        }
        plan
    }

    fn draw_network(&self, random: &mut Stream) -> NetworkFaults {
        let mut some = |often: u64, max: u64| {
            let rate = random.between(1, max);
            if random.chance(often) { rate } else { 0 }
        };
        NetworkFaults {
            loss: some(6_000, 1_500),
            duplicate: some(6_000, 2_000),
            reorder: some(5_000, 2_000),
            cut: some(4_000, 1_500),
            slow_peer: some(3_000, 1) == 1,
            ..self.network
        }
    }
}

fn draw_nodes(random: &mut Stream) -> NodeFaults {
    let mut some = |often: u64, max: u64| {
        let rate = random.between(1, max);
        if random.chance(often) { rate } else { 0 }
    };
    NodeFaults {
        crash: some(6_500, 200),
        disk_error: some(2_500, 60),
        restore: some(9_999, 6_000),
        double_start: some(3_000, 300),
        clock_jump: some(3_500, 500),
        clock_off_ms: some(5_000, 12_000),
        clock_drift_ppm: some(5_000, 20_000),
        rotate: some(4_000, 400),
        lie: some(9_999, 2_500),
    }
}
