// Package healthcheck is the one truth of a process about what is alive: gtm, lb, redirect and
// the console all decide on its snapshot.
//
// From the outside in: a Config becomes an immutable Table (Compile); an Engine probes the
// checks of its table (Run), judges the results, and publishes a Snapshot, which decisions load
// once and read by Ref. A Member folds several checks into one status, and Serving says which
// members take new work. Judging, folding and Serving are pure; the engine around them is thin.
//
// What is known of a check are facts that stand beside each other, each with its source and time
// (Show): what the newest probe observed; what the probes are judged to say; what the traffic says
// (Report); whether the check that it depends on is down; a manual-resume hold; an open maintenance
// window; an operator's override. One pure function, effective, makes the state of them that
// everybody sees; its comment is the order in which they count. No fact ever overwrites another.
//
// The judged states, with the rules of the monitor (judge says each row exactly):
//
//	unknown -- first result --> what it says, at once
//
//	                 failures suffice: fall, fall_of or down_after
//	   up ------------------------------------------------------------> down
//	    ^  ^                                                             |  ^
//	    |  +---- rise successes, time_until_up over, not damped ---------+  |
//	    |                                                                   |
//	    +-- rise successes,   overloaded, draining,   failures suffice -----+
//	        overload_hold --- maintenance ------------
//
//	any -- 503, receive_disable, the agent's word --> overloaded, draining, maintenance, at once
//
// A 503 counts at once from every state: it is the target's own word that it lives and wants no
// new work; so is a drain or a maintenance that it announces itself.
//
// Traffic: passive_fall failures of the last passive_window requests eject a target for
// passive_hold, whatever its probes say. Then traffic is tried: a failure ejects it again for
// twice as long. A 503 is never a failure. When more than passive_max_ejected percent of a
// monitor's checks fail, the cause is one they share (a database, a directory): then none is
// ejected, and the ejected ones come back. Should a pool still have ejected members only, Serving
// lets them serve (HK4).
//
// Mode: a broker says in the answer in which mode it works (AL5), a balancer the modes of its pool.
// It stands in the Status with the load, is no state, and never makes a member worse than up: Serving
// prefers those in mode normal, while they can carry the work (DC7).
//
// Invariants:
//   - One Key has one check, one state and one Ref, whoever asks for it. A Ref keeps its check
//     over reloads, and is given to another one only after a whole table generation and a minute
//     in which nobody wanted it, so whoever still holds an old table never reads a foreign state.
//   - A check is in one place: idle, waiting (wheel), queued, or running. No check is probed
//     twice at the same time, and a missed turn is left out, not made up for.
//   - A snapshot never changes. A change of state is published at once after a quiet moment and
//     within 5 ms in a storm, load within 50 ms, measured times within 1 s; where a snapshot is so
//     large that this would cost more than a twentieth of a core, it may take 100 ms longer.
//   - Probes in flight are bounded by max_in_flight, by default a quarter of the descriptors, and
//     by max_per_host. The connections that probes leave open take at most half of the descriptors.
//   - The http and https checks of one address take turns and share one connection; every
//     fresh_every-th probe opens a new one. A connection that the target closed in between is no
//     failure: the probe goes on with a new one.
//   - Every probe ends within its time-out and holds at most 32 KB of header and 64 KB of body.
//     Libraries that believe the lengths that they read get a bounded connection, and no process
//     that a probe started outlives it.
//
// Failure rules: a target can make a probe fail in any way it likes; each way has its own plain
// reason, and none costs more than the time-out and the bounds above. What the target sent is
// quoted wherever it is shown. A time-out of a probe during which this process itself was late
// counts as nothing (overrun); refusals, resets, wrong answers and traffic always count. A state
// file that is not usable is reported and set aside. A probe that the end of the engine interrupts is no result. Until
// the first round is over (Ready), or its deadline has passed, nobody should serve; after a restart
// the states from before, marked stale, take the place of results that are not there yet.
package healthcheck
