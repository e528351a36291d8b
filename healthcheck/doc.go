// Package healthcheck is the one truth of a process about what is alive: gtm, lb, redirect and
// the console all decide on its snapshot.
//
// From the outside in: a Config becomes an immutable Table (Compile); an Engine probes the
// checks of its table (Run), judges the results, and publishes a Snapshot, which decisions load
// once and read by Ref. A Member folds several checks into one status, and Serving says which
// members take new work. Judging, folding and Serving are pure; the engine around them is thin.
//
// The states of a check, with rise and fall of its monitor:
//
//	            first result: up           fall failures in a row
//	unknown ---------------------> up ------------------------------+
//	   |                          |  ^                              |
//	   |                      503 |  | rise successes in a row      v
//	   +-- first result: 503 --> overloaded -- fall failures --> down <-- first result: failure
//	                              ^  |                            |  |
//	                              |  +---- rise successes: up ----|--+
//	                              +------------- 503 -------------+
//
// A 503 counts at once from every state: it is the target's own word that it lives and wants no
// new work. Draining and maintenance are never judged from probes.
//
// Invariants:
//   - One Key has one check, one state and one Ref, whoever asks for it. A Ref keeps its check
//     over reloads, and is given to another one only after a whole table generation and a minute
//     in which nobody wanted it, so whoever still holds an old table never reads a foreign state.
//   - A check is in one place: idle, waiting (wheel), queued, or running. No check is probed
//     twice at the same time, and a missed turn is left out, not made up for.
//   - A snapshot never changes. A change of state is published at once after a quiet moment and
//     within 5 ms in a storm, load within 50 ms, measured times within 1 s.
//   - Probes in flight are bounded by max_in_flight, by default a quarter of the descriptors.
//   - Every probe ends within its time-out and holds at most 32 KB of header and 64 KB of body.
//     Libraries that believe the lengths that they read get a bounded connection, and no process
//     that a probe started outlives it.
//
// Failure rules: a target can make a probe fail in any way it likes; each way has its own plain
// reason, and none costs more than the time-out and the bounds above. What the target sent is
// quoted wherever it is shown. A probe that the end of the engine interrupts is no result. Until
// the first round is over (Ready), or its deadline has passed, nobody should serve.
package healthcheck
