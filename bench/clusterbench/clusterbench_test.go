package clusterbench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun goes through all parts, with figures that mean nothing.
func TestRun(t *testing.T) {
	r, err := Run(t.Context(), Options{Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if len(r.Rows) != 10 {
		t.Errorf("%d rows, want 10", len(r.Rows))
	}
	for _, row := range r.Rows {
		if !(row.Value > 0) || len(row.Runs) != 1 {
			t.Errorf("%s: %v of %v", row.Name, row.Value, row.Runs)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, o := range []Options{{Parts: []string{"quux"}}, {Rounds: -1}, {Length: 1500 * time.Millisecond}, {Rate: 100_000}, {Desktops: 10}} {
		if o.Validate() == nil {
			t.Errorf("%+v passes", o)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
}

const serverLog = `2026-11-22 LOG:  execute stmtcache_1: SELECT version()
2026-11-22 LOG:  execute stmtcache_2: WITH a AS (
	SELECT $1::text, $2::uuid
	), b AS (INSERT INTO session SELECT $2, $3, $4)
	SELECT 1
2026-11-22 DETAIL:  parameters: $1 = 'it''s, $2 = ''', $2 = '00000000-0000-7000-8000-000000000001', $3 = NULL, $4 = 'two
	lines'
2026-11-22 LOG:  statement: INSERT INTO session VALUES (1)
2026-11-22 LOG:  execute stmtcache_3: SELECT $1
2026-11-22 DETAIL:  parameters: $1 = 'other'
`

func TestCaptured(t *testing.T) {
	got := captured(serverLog, "INSERT INTO session")
	if len(got) != 1 || got[0].sql != "WITH a AS (\nSELECT $1::text, $2::uuid\n), b AS (INSERT INTO session SELECT $2, $3, $4)\nSELECT 1" {
		t.Fatalf("%+v", got)
	}
	var params []string
	for _, p := range got[0].params {
		if p == nil {
			params = append(params, "NULL")
			continue
		}
		params = append(params, *p)
	}
	if want := []string{"it's, $2 = '", "00000000-0000-7000-8000-000000000001", "NULL", "two\nlines"}; !slices.Equal(params, want) {
		t.Errorf("%q, want %q", params, want)
	}
}

func TestScript(t *testing.T) {
	text := func(s ...string) (out []*string) {
		for _, v := range s {
			out = append(out, &v)
		}
		return out
	}
	a := statement{"SELECT $1, $2::uuid, $10, $3", text("first", "00000000-0000-7000-8000-000000000001", "same")}
	b := statement{a.sql, text("second", "00000000-0000-7000-8000-000000000002", "same")}
	s, err := newScript(a, b, "text\nuuid\ntimestamp with time zone\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := next + "SELECT ('user' || :user), (lpad(:id, 32, '0')::uuid)::uuid, $10, (:p3::timestamp with time zone);\n"; s.text != want {
		t.Errorf("%s\nwant\n%s", s.text, want)
	}
	if !slices.Equal(s.defines, []string{"--define=n=0", "--define=p3=same"}) {
		t.Errorf("%q", s.defines)
	}
	b.params = text("second", "x", "17")
	if _, err := newScript(a, b, "text\nuuid\nbigint"); err == nil || !strings.Contains(err.Error(), "$3") {
		t.Errorf("a value that nobody can make: %v", err)
	}
	if _, err := newScript(a, b, "text"); err == nil {
		t.Error("one type for three parameters")
	}
}

func TestRows(t *testing.T) {
	r := Report{Rows: []Row{
		newRow("fast", "x/s", []float64{3, 1, 2}).atLeast(2), newRow("slow", "x/s", []float64{1}).atLeast(2),
		newRow("low", "ms", []float64{1}).atMost(2), newRow("high", "ms", []float64{3}).atMost(2),
		newRow("none", "ms", nil).atMost(2), newRow("free", "x", []float64{0.126}),
	}}
	if got, want := strings.Join(r.Missed(), "; "), "slow: 1 x/s, limit 2; high: 3 ms, limit 2; none: NaN ms, limit 2"; got != want {
		t.Errorf("missed %q, want %q", got, want)
	}
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"fast  2     x/s  (1.50 to 2.50)  + >= 2", "slow  1     x/s  (1 to 1)        - >= 2", "high  3     ms   (3 to 3)        - <= 2", "free  0.13"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
