use super::*;

const SECOND: u64 = 1_000_000_000;

const LADDER: [Rung; 5] = [
    Rung { name: "payload", sampled: false },
    Rung { name: "packets", sampled: false },
    Rung { name: "calls", sampled: true },
    Rung { name: "turns", sampled: true },
    Rung { name: "lifecycle", sampled: false },
];

/// A process that uses one CPU, what each rung costs it of that, and what can't be left out.
struct Process {
    governor: Governor,
    t: MonoNs,
    rungs: [f64; 5],
    rest: f64,
    slices: bool,
    noise: f64,
    random: u64,
    steps: Vec<Step>,
}

impl Process {
    fn new(rungs: [f64; 5], rest: f64) -> Self {
        let settings = Settings { budget: 0.01, floor: 0.1, min_share: 0.001 };
        let mut governor = Governor::new(Arc::from(LADDER), settings);
        let t = MonoNs(77 * SECOND);
        let start = Look { t, cost_ns: 9, own_ns: 1, slices: None, pressure: Pressure::default() };
        assert_eq!(governor.look(&start), None, "the first look has nothing to compare with");
        Self { governor, t, rungs, rest, slices: true, noise: 0.0, random: 7, steps: Vec::new() }
    }

    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        1.0 + self.noise * ((self.random % 2001) as f64 / 1000.0 - 1.0)
    }

    /// A second with this load (1: what was said of the rungs). Returns the cost as a share of the process's time.
    fn second(&mut self, load: f64) -> f64 {
        self.pressed(load, Pressure::default())
    }

    fn pressed(&mut self, load: f64, pressure: Pressure) -> f64 {
        self.t = self.t.after(SECOND);
        let at = self.governor.position();
        let load = load * self.random();
        let share = |rung| self.governor.share(rung);
        let cost: f64 =
            load * (self.rest + self.rungs.iter().enumerate().map(|(i, c)| c * share(i)).sum::<f64>());
        let whole: f64 = self.rungs.iter().skip(at.left_out).sum();
        let own_ns = if load == 0.0 { 0 } else { SECOND };
        let slices = (self.slices && at.share < 1.0).then_some(Spent {
            time_ns: (at.share * SECOND as f64) as u64,
            own_ns: (at.share * own_ns as f64) as u64,
            cost_ns: (at.share * load * (self.rest + whole) * SECOND as f64) as u64,
        });
        let look = Look { t: self.t, cost_ns: (cost * SECOND as f64) as u64, own_ns, slices, pressure };
        self.steps.extend(self.governor.look(&look));
        cost
    }

    fn seconds(&mut self, n: usize, load: f64) -> f64 {
        (0..n).map(|_| self.second(load)).sum::<f64>() / n as f64
    }

    fn at(&self) -> (usize, f64) {
        (self.governor.position().left_out, self.governor.position().share)
    }
}

#[track_caller]
fn held(cost: f64) {
    assert!((0.007..=0.013).contains(&cost), "the cost is {:.2} % and not 1 %", cost * 100.0);
}

#[test]
fn what_fits_is_left_alone() {
    let mut p = Process::new([0.001, 0.002, 0.003, 0.001, 0.001], 0.001);
    p.noise = 0.2;
    p.seconds(100, 1.0);
    assert_eq!((p.at(), p.steps.len()), ((0, 1.0), 0));
}

#[test]
fn ten_times_too_much_is_at_the_budget_after_a_look() {
    for slices in [true, false] {
        let mut p = Process::new([0.005, 0.005, 0.088, 0.001, 0.0], 0.001);
        p.slices = slices;
        assert!(p.second(1.0) > 0.09);
        assert_eq!(p.at().0, 2, "payload and packets go with the first step");
        // Nothing is known of what calls cost without the rest: one more look.
        p.second(1.0);
        for _ in 0..20 {
            held(p.second(1.0));
        }
        assert!((0.06..0.12).contains(&p.at().1), "{:?}", p.at());
        assert!(p.steps.len() <= 2, "{:?}", p.steps);
    }
}

#[test]
fn four_hundred_times_too_much_as_well() {
    for slices in [true, false] {
        let mut p = Process::new([0.3, 0.0, 3.7, 0.0, 0.0], 0.0);
        p.slices = slices;
        p.seconds(2, 1.0);
        held(p.seconds(10, 1.0));
        assert_eq!(p.at().0, 2);
    }
}

#[test]
fn what_remains_beside_the_calls_goes_down_further() {
    // As a ping-pong over loopback: calls, turns, and what is left of them.
    for slices in [true, false] {
        let mut p = Process::new([0.02, 0.1, 0.25, 0.12, 0.0], 0.002);
        p.slices = slices;
        p.seconds(3, 1.0);
        assert_eq!(p.at().0, 3, "all calls and a part of the turns");
        held(p.seconds(10, 1.0));
        assert!((0.03..0.1).contains(&p.at().1), "{:?}", p.at());
    }
}

#[test]
fn noise_moves_the_share_and_not_the_ladder() {
    for slices in [true, false] {
        let mut p = Process::new([0.005, 0.005, 0.088, 0.001, 0.0], 0.001);
        p.slices = slices;
        p.noise = 0.2;
        p.seconds(5, 1.0);
        let told = p.steps.len();
        held(p.seconds(100, 1.0));
        assert_eq!(p.steps.len(), told, "{:?}", p.steps);
    }
}

#[test]
fn the_top_is_back_within_ten_seconds() {
    // Idle, a hundredth of the load, and just what fits.
    for load in [0.0, 0.01, 0.05] {
        for slices in [true, false] {
            let mut p = Process::new([0.005, 0.005, 0.088, 0.05, 0.0], 0.001);
            p.slices = slices;
            p.seconds(20, 1.0);
            let seconds = (1..=20)
                .find(|_| {
                    p.second(load);
                    p.governor.position() == Position::TOP
                })
                .expect("it comes back");
            assert!(seconds <= 10, "after {seconds} s with load {load}");
            p.seconds(60, load);
            assert_eq!(p.at(), (0, 1.0));
            assert_eq!(p.steps.last().map(|s| s.why), Some(Why::Room));
        }
    }
}

#[test]
fn a_lesser_load_is_observed_more() {
    let mut p = Process::new([0.005, 0.005, 0.088, 0.001, 0.0], 0.001);
    p.seconds(10, 1.0);
    let before = p.at().1;
    p.seconds(10, 0.25);
    assert_eq!(p.at().0, 2);
    assert!(p.at().1 > before * 3.0, "{before} and {:?}", p.at());
    held(p.seconds(20, 0.25));
}

#[test]
fn what_no_rung_changes_ends_at_the_lowest_and_says_so_once() {
    for slices in [true, false] {
        let mut p = Process::new([0.0; 5], 0.05);
        p.slices = slices;
        p.seconds(8, 1.0);
        assert_eq!(p.at().0, LADDER.len());
        assert_eq!(p.steps.last().map(|s| s.why), Some(Why::Lowest));
        let told = p.steps.len();
        p.seconds(20, 1.0);
        assert_eq!(p.steps.len(), told, "{:?}", p.steps);
        p.seconds(10, 0.01);
        assert_eq!(p.at(), (0, 1.0), "and comes back like any other");
    }
}

#[test]
fn a_load_that_comes_and_goes_is_not_chased() {
    let mut p = Process::new([0.005, 0.005, 0.088, 0.05, 0.0], 0.001);
    let mut cost = 0.0;
    for _ in 0..50 {
        cost += p.seconds(1, 1.0) + p.seconds(1, 0.0);
    }
    assert!(p.steps.len() <= 6, "{} steps in 100 s: {:?}", p.steps.len(), p.steps.get(..20));
    assert!(cost / 100.0 < 0.013, "{cost}");
    // One that stays away for longer is told of each time, in few steps.
    let before = p.steps.len();
    for _ in 0..10 {
        p.seconds(10, 1.0);
        p.seconds(10, 0.0);
    }
    let steps = p.steps.len() - before;
    assert!(steps <= 60, "{steps} steps in 10 rounds");
}

#[test]
fn a_rung_that_just_does_not_fit_is_tried_ever_more_rarely() {
    let mut p = Process::new([0.004, 0.0, 0.003, 0.002, 0.0], 0.003);
    p.seconds(10, 1.0);
    assert_eq!(p.at(), (1, 1.0));
    let before = p.steps.len();
    held(p.seconds(600, 1.0));
    let tried = p.steps.len() - before;
    assert!((2..=10).contains(&tried), "{tried} steps in 600 s: {:?}", p.steps);
}

#[test]
fn a_look_without_a_slice_says_nothing_of_what_is_in_slices() {
    let mut p = Process::new([0.005, 0.005, 0.088, 0.001, 0.0], 0.001);
    p.second(1.0);
    let at = p.at();
    assert!(at.1 < 1.0);
    for _ in 0..10 {
        p.t = p.t.after(SECOND);
        let slices = Some(Spent::default());
        let look = Look { t: p.t, cost_ns: 0, own_ns: SECOND, slices, pressure: Pressure::default() };
        assert_eq!(p.governor.look(&look), None);
    }
    assert_eq!(p.at(), at);
}

#[test]
fn where_nothing_is_left_to_measure_a_load_by_the_process_tells_that_it_runs() {
    let mut p = Process::new([0.0, 0.0, 0.0, 0.0, 0.4], 0.0);
    p.seconds(10, 1.0);
    assert_eq!(p.at(), (5, 1.0), "{:?}", p.steps);
    let before = p.steps.len();
    p.seconds(100, 1.0);
    assert!(p.steps.len() - before <= 4, "tried again now and then: {:?}", p.steps);
    p.seconds(10, 0.0);
    assert_eq!(p.at(), (0, 1.0));
}

#[test]
fn lost_records_halve_what_is_observed() {
    let mut p = Process::new([0.0, 0.0, 0.002, 0.001, 0.0], 0.001);
    p.seconds(5, 1.0);
    assert_eq!(p.at(), (0, 1.0));
    let ring = Pressure { ring: true, ..Pressure::default() };
    let before = p.pressed(1.0, ring);
    assert!(matches!(p.steps.last(), Some(Step { why: Why::Pressure(r), .. }) if r.ring), "{:?}", p.steps);
    let after = p.pressed(1.0, ring);
    assert!(after < before * 0.8, "{before} and {after}");
    for _ in 0..10 {
        p.pressed(1.0, ring);
    }
    assert!(p.at().0 >= 3, "{:?}", p.at());
    p.seconds(40, 1.0);
    assert_eq!(p.at(), (0, 1.0), "and back when they are no longer lost");
}

/// A process that is on a CPU for a part of the time, in slices of that of 50 ms, and what its probes cost when they are on.
fn sliced(costs: f64, part: f64, late_ns: u64, share: f64) -> (f64, usize) {
    let mut now = MonoNs(5 * SECOND);
    let mut slicer = Slicer::new(now, 0.01, 0.001, 2_000_000, SECOND / 4);
    slicer.set_share(share);
    let (start, mut on, mut own, mut cost, mut slices) = (now, true, 0.0, 0.0, 0);
    while now.since(start).0 < 60 * SECOND {
        let next = slicer.next().expect("a share between 0 and 1").after(late_ns);
        let time = next.since(now).0;
        let running =
            if part < 1.0 && now.0 / 50_000_000 % 4 >= (part * 4.0) as u64 { 0.0 } else { time as f64 };
        let spent = if on { running * costs / (1.0 + costs) } else { 0.0 };
        slicer.book(next, &Spent { time_ns: time, own_ns: (running - spent) as u64, cost_ns: spent as u64 });
        (own, cost) = (own + running - spent, cost + spent);
        now = next;
        let was = std::mem::replace(&mut on, slicer.poll(now));
        slices += usize::from(on && !was);
    }
    (cost / own, slices)
}

#[test]
fn slices_cost_what_they_may_also_where_they_end_late_or_nobody_runs() {
    for (costs, part, late_ns) in [
        (0.2, 1.0, 0),
        (0.2, 1.0, 5_000_000),
        (5.0, 1.0, 50_000),
        (5.0, 1.0, 3_000_000),
        (0.2, 0.5, 100_000),
        (5.0, 0.5, 1_000_000),
    ] {
        let share = 0.01 / costs;
        let (cost, slices) = sliced(costs, part, late_ns, share);
        held(cost);
        assert!((0.0095..0.0105).contains(&cost), "{cost} of {costs}, {part}, {late_ns} ns late");
        assert!(slices < 60 * 60, "{slices} slices in a minute");
    }
}

#[test]
fn what_was_spent_before_a_step_is_not_made_up_for() {
    let mut now = MonoNs(SECOND);
    let mut slicer = Slicer::new(now, 0.01, 0.1, 2_000_000, SECOND / 4);
    now = now.after(SECOND / 4);
    slicer.book(now, &Spent { time_ns: SECOND / 4, own_ns: SECOND / 20, cost_ns: SECOND / 5 });
    slicer.start_over();
    slicer.set_share(0.01);
    assert!(!slicer.poll(now));
    let next = slicer.next().expect("a pause ends");
    assert!(next.since(now).0 <= SECOND / 4, "{next:?}");
    slicer.book(next, &Spent { time_ns: next.since(now).0, own_ns: next.since(now).0, cost_ns: 0 });
    assert!(slicer.poll(next));
}

#[test]
fn all_and_nothing_have_no_slices() {
    let now = MonoNs(SECOND);
    let mut slicer = Slicer::new(now, 0.01, 0.1, 2_000_000, SECOND / 4);
    assert!(slicer.poll(now.after(10 * SECOND)));
    assert_eq!(slicer.next(), None);
    slicer.set_share(0.0);
    assert!(!slicer.poll(now.after(10 * SECOND)));
    assert_eq!(slicer.next(), None);
    slicer.set_share(1.0);
    assert!(slicer.poll(now.after(11 * SECOND)));
}
