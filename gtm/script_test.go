package gtm

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// The scripts in testdata/*.test say: this configuration, these zones, this health; this
// question; this answer. Their language:
//
//	config .. end          the [gtm] section in TOML; datacenters are us, uk and de, our own is us
//	zone FILE .. end       a master file that config names
//	health ADDR STATE [spare=N] [mode=M]   state of the check at that address:port from here on;
//	                       it will not change by the probes within an hour
//	mode primary|dr        the operator's switch (TP4)
//	ask CLIENT NAME TYPE [draw=N]          a question; the lines below it are its answer:
//	  rcode TEXT [aa]      response code; "aa" where the answer is authoritative
//	  answer|ns|extra RR   a record of that section, in this order; unlisted records are errors
//	  reason TEXT          the explanation contains this
type script struct {
	t      *testing.T
	file   string
	dir    string
	cfg    Config
	table  *Table
	keys   []healthcheck.Key
	health map[string]healthcheck.Status
	mode   string
	ask    *asked
}

// asked is a question whose answer is being compared.
type asked struct {
	line                     string
	ans                      Answer
	rcode                    string
	answer, ns, extra, needs []string
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test"), func(t *testing.T) {
			switch filepath.Base(file) {
			case "services.test":
				covers.Req(t, "GT2")
			case "methods.test":
				covers.Req(t, "GT3")
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, file: file, dir: t.TempDir(), health: map[string]healthcheck.Status{}}
			s.run(strings.Split(string(text), "\n"))
		})
	}
}

func (s *script) run(lines []string) {
	asked := 0
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		word, rest, _ := strings.Cut(line, " ")
		at := fmt.Sprintf("%s:%d", s.file, i+1)
		switch word {
		case "", "#":
		case "config", "zone":
			end := i + 1
			for lines[end] != "end" {
				end++
			}
			s.block(at, word, rest, strings.Join(lines[i+1:end], "\n")+"\n")
			i = end
		case "health":
			s.setHealth(at, strings.Fields(rest))
		case "mode":
			s.compare()
			s.mode = rest
		case "ask":
			s.compare()
			s.question(at, strings.Fields(rest))
			asked++
		default:
			s.expect(at, word, rest)
		}
	}
	s.compare()
	if asked == 0 {
		s.t.Fatal("the script asks nothing")
	}
}

func (s *script) block(at, word, name, text string) {
	s.compare()
	s.table = nil
	if word == "zone" {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	s.cfg = Config{Datacenters: []string{"us", "uk", "de"}, Datacenter: "us", Listen: []string{"127.0.0.1:0"}}
	if _, err := toml.Decode(text, &s.cfg); err != nil {
		s.t.Fatalf("%s: %v", at, err)
	}
	for i := range s.cfg.Zones {
		if z := &s.cfg.Zones[i]; z.File != "" {
			z.File = filepath.Join(s.dir, z.File)
		}
	}
}

// compile builds the table when the first question after a block needs it.
func (s *script) compile(at string) {
	if s.table != nil {
		return
	}
	s.keys = s.cfg.Checks()
	var err error
	s.table, err = Compile(s.cfg, func(k healthcheck.Key) healthcheck.Ref {
		return healthcheck.Ref(slices.Index(s.keys, k))
	})
	if err != nil {
		s.t.Fatalf("%s: %v", at, err)
	}
}

// view is what a node without a past sees.
func (s *script) view() *steer.View {
	return steer.Direct(s.table.steering, nil, steer.Circumstances{
		Status: s.status, Operator: &steer.Operator{Mode: s.mode}, Now: time.Unix(1e9, 0),
	})
}

func (s *script) status(r healthcheck.Ref) healthcheck.Status {
	if st, ok := s.health[s.keys[r].Address]; ok {
		return st
	}
	return healthcheck.Status{State: healthcheck.Up, Steady: time.Hour, Load: healthcheck.Load{Active: -1, Capacity: -1}}
}

func (s *script) setHealth(at string, words []string) {
	s.compare()
	st := healthcheck.Status{Steady: time.Hour, Load: healthcheck.Load{Active: -1, Capacity: -1}, Reason: "said by the script"}
	for state := healthcheck.Unknown; state <= healthcheck.Maintenance; state++ {
		if words[1] == state.String() {
			st.State = state
		}
	}
	if st.State.String() != words[1] {
		s.t.Fatalf("%s: no state %q", at, words[1])
	}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "spare":
			n, err := strconv.Atoi(value)
			if err != nil {
				s.t.Fatalf("%s: %v", at, err)
			}
			st.Load.Active, st.Load.Capacity = 10, 10+n
		case "mode":
			st.Load.Mode = value
		default:
			s.t.Fatalf("%s: unknown word %q", at, w)
		}
	}
	s.health[words[0]] = st
}

func (s *script) question(at string, words []string) {
	s.compile(at)
	q := Question{Name: words[1], Class: dns.ClassINET, Client: netip.MustParseAddr(words[0])}
	var ok bool
	if q.Type, ok = dns.StringToType[words[2]]; !ok {
		s.t.Fatalf("%s: no type %q", at, words[2])
	}
	for _, w := range words[3:] {
		n, err := strconv.ParseUint(strings.TrimPrefix(w, "draw="), 10, 64)
		if err != nil {
			s.t.Fatalf("%s: %v", at, err)
		}
		q.Draw = n
	}
	s.ask = &asked{line: at + ": ask " + strings.Join(words, " "), ans: Resolve(s.table, s.view(), q), rcode: "NOERROR aa"}
}

func (s *script) expect(at, word, rest string) {
	if s.ask == nil {
		s.t.Fatalf("%s: %q before any question", at, word)
	}
	switch word {
	case "rcode":
		s.ask.rcode = rest
	case "answer":
		s.ask.answer = append(s.ask.answer, rest)
	case "ns":
		s.ask.ns = append(s.ask.ns, rest)
	case "extra":
		s.ask.extra = append(s.ask.extra, rest)
	case "reason":
		s.ask.needs = append(s.ask.needs, rest)
	default:
		s.t.Fatalf("%s: unknown word %q", at, word)
	}
}

// compare checks the question that is open, if any.
func (s *script) compare() {
	a := s.ask
	if a == nil {
		return
	}
	s.ask = nil
	rcode := rcodeText(a.ans.Rcode)
	if a.ans.Authoritative {
		rcode += " aa"
	}
	if rcode != a.rcode {
		s.t.Errorf("%s: rcode %q, want %q\n%s", a.line, rcode, a.rcode, a.ans.Reason)
	}
	for _, section := range []struct {
		name string
		got  []dns.RR
		want []string
	}{{"answer", a.ans.Answer, a.answer}, {"ns", a.ans.Ns, a.ns}, {"extra", a.ans.Extra, a.extra}} {
		got := make([]string, len(section.got))
		for i, rr := range section.got {
			got[i] = strings.ReplaceAll(rr.String(), "\t", " ")
		}
		if !slices.Equal(got, section.want) {
			s.t.Errorf("%s: %s\n got %s\nwant %s\n%s", a.line, section.name,
				strings.Join(got, "\n     "), strings.Join(section.want, "\n     "), a.ans.Reason)
		}
	}
	text := a.ans.Reason.String()
	for _, need := range a.needs {
		if !strings.Contains(text, need) {
			s.t.Errorf("%s: the reason lacks %q:\n%s", a.line, need, text)
		}
	}
}
