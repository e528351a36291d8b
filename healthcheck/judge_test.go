package healthcheck

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestJudge(t *testing.T) {
	results := map[byte]Result{
		'u': {State: Up, Reason: "ok"}, 'o': {State: Overloaded, Reason: "503"}, 'd': {State: Down, Reason: "refused"},
	}
	// f feeds the results and gives the state after each: ? u o d.
	f := func(r rule, in, want string) {
		t.Helper()
		var j judged
		got := ""
		for i := range len(in) {
			j = judge(r, j, results[in[i]], moment.Add(time.Duration(i)*time.Second))
			got += j.state.String()[:1]
		}
		if got != want {
			t.Errorf("%+v: %s gives %s, want %s", r, in, got, want)
		}
	}
	std := rule{fall: 3, rise: 2}
	f(std, "u", "u")
	f(std, "d", "d")
	f(std, "o", "o")
	f(std, "udd", "uuu")
	f(std, "uddd", "uuud")
	f(std, "uddudddu", "uuuuuudd")
	f(std, "duu", "ddu")
	f(std, "dudu", "dddd")
	f(std, "uo", "uo")
	f(std, "do", "do")
	f(std, "uouu", "uoou")
	f(std, "ouou", "oooo")
	f(std, "oudduu", "ooooou")
	f(std, "oddd", "oood")
	f(std, "udoddd", "uuoood")
	f(rule{fall: 1, rise: 1}, "udouo", "udouo")
}

func TestJudgeReasonsAndTimes(t *testing.T) {
	r := rule{fall: 3, rise: 2}
	at := func(s int) time.Time { return moment.Add(time.Duration(s) * time.Second) }
	j := judge(r, judged{}, Result{State: Up, Reason: "200"}, at(0))
	j = judge(r, j, Result{State: Down, Reason: "connection refused"}, at(5))
	if j.reason != "1 of 3 failures in a row: connection refused" || !j.since.Equal(at(0)) {
		t.Errorf("pending: %+v", j)
	}
	j = judge(r, j, Result{State: Down, Reason: "connection refused"}, at(10))
	j = judge(r, j, Result{State: Down, Reason: "connection reset"}, at(15))
	if j.reason != "connection reset" || !j.since.Equal(at(15)) || j.state != Down {
		t.Errorf("down: %+v", j)
	}
	j = judge(r, j, Result{State: Up, Reason: "200"}, at(20))
	if j.reason != "1 of 2 successes in a row: 200" || j.state != Down {
		t.Errorf("rising: %+v", j)
	}
}

// Whatever comes, judging follows its table: this model states each row in its own words.
func TestJudgeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rule{fall: rapid.IntRange(1, 5).Draw(t, "fall"), rise: rapid.IntRange(1, 5).Draw(t, "rise")}
		seq := rapid.SliceOfN(rapid.SampledFrom([]State{Up, Overloaded, Down}), 1, 60).Draw(t, "results")
		var j judged
		run := func(i int, s State) (n int) { // length of the unbroken run of s that ends at i
			for ; i >= 0 && seq[i] == s; i-- {
				n++
			}
			return n
		}
		for i, s := range seq {
			was := j
			j = judge(r, j, Result{State: s, Reason: "r"}, moment.Add(time.Duration(i)))
			switch {
			case j.state == Unknown, j.reason == "":
				t.Fatalf("no state or reason after %d results", i+1)
			case was.state == Unknown && j.state != s:
				t.Fatal("the first result does not decide")
			case s == Overloaded && j.state != Overloaded:
				t.Fatal("a 503 does not count at once")
			case was.state != Unknown && j.state != was.state && j.state == Down && run(i, Down) < r.fall:
				t.Fatal("down too early")
			case was.state != Unknown && j.state != was.state && j.state == Up && run(i, Up) < r.rise:
				t.Fatal("up too early")
			case run(i, Down) >= r.fall && j.state != Down:
				t.Fatal("not down after fall failures")
			case run(i, Up) >= r.rise && j.state != Up:
				t.Fatal("not up after rise successes")
			case (j.state == was.state) != j.since.Equal(was.since):
				t.Fatal("since does not follow the state")
			case j.fails > 0 && j.oks > 0, j.fails > r.fall, j.oks > r.rise:
				t.Fatalf("counters %d %d", j.fails, j.oks)
			}
		}
	})
}
