package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/broker/api"
	"switchpoint/directory/demodir"
	"switchpoint/internal/covers"
	"switchpoint/lb"
)

// How brokers of different speed are measured. `make bench-lb-routing` prints it.
const (
	speedRounds = 3 // of each method, in turns
	speedLength = 5 * time.Second
	speedWarmUp = 2 * time.Second // before each, which does not count: averages begin anew
	speedLogins = 40              // a second
	// The slow broker stands still for slowPause of each slowPeriod, as a container does that has used
	// up its quota (cpu.max): it has a tenth of a processor.
	slowPeriod = 200 * time.Millisecond
	slowPause  = 180 * time.Millisecond
)

// speedMethods are the ones compared; the first is to be the better one.
var speedMethods = [2]string{"least-response-time", "round-robin"}

// TestBrokersOfDifferentSpeed: five real brokers on one PostgreSQL, one of them throttled, and people
// who sign in through the balancer, each from an address of his own. By response time the slowest
// hundredth of the logins is faster than in turns.
func TestBrokersOfDifferentSpeed(t *testing.T) {
	covers.Req(t, "LB2")
	s := &speedTest{fiveBrokers: startCluster(t)}
	// A slow broker is not a dead one: health is to leave it where it is.
	s.change(s.lb.config, "interval = \"500ms\"\ntimeout = \"450ms\"\nfall = 2", "interval = \"2s\"\ntimeout = \"1900ms\"\nfall = 3")
	stop := throttle(t, s.brokers[0].cmd.Process)
	defer stop()
	var rounds [2][]loginRound
	for round := range 2 * speedRounds {
		which := (round + round/2) % 2 // A B B A A B
		s.useMethod(speedMethods[which])
		s.signIns(speedWarmUp)
		before := s.chosen()
		one := loginRound{took: s.signIns(speedLength)}
		slices.Sort(one.took)
		for name, n := range s.chosen() {
			if n -= before[name]; name == nthBroker(1) {
				one.slow = n
			}
			one.all += n
		}
		rounds[which] = append(rounds[which], one)
		t.Logf("%-20s %s", speedMethods[which], one)
	}
	var p99 [2]time.Duration
	for i, method := range speedMethods {
		slices.SortFunc(rounds[i], func(a, b loginRound) int { return cmp.Compare(a.at(0.99), b.at(0.99)) })
		middle := rounds[i][len(rounds[i])/2]
		p99[i] = middle.at(0.99)
		t.Logf("%-20s %s: the round in the middle by p99 of %d, each %s with %d logins a second, five brokers, one with a tenth of a processor", method, middle, speedRounds, speedLength, speedLogins)
	}
	if p99[0] >= p99[1] {
		t.Errorf("p99 of %s is %s, of %s %s", speedMethods[0], p99[0], speedMethods[1], p99[1])
	}
}

// manyLogins is one round of a method.
type loginRound struct {
	took      []time.Duration // sorted
	slow, all uint64          // choices of the slow broker, and of any
}

func (l loginRound) at(part float64) time.Duration {
	return l.took[int(part*float64(len(l.took)-1))].Round(100 * time.Microsecond)
}

// String gives the figures of a round.
func (l loginRound) String() string {
	return fmt.Sprintf("p50 %8s  p90 %8s  p99 %8s  slowest %8s  the slow broker got %4.1f %%", l.at(0.5), l.at(0.9), l.at(0.99), l.at(1), 100*float64(l.slow)/float64(l.all))
}

type speedTest struct {
	*fiveBrokers
	method string
	people int
}

// throttle lets a process run for a part of the time only, until the func that it gives is called.
func throttle(t *testing.T, p *os.Process) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(slowPeriod)
		defer tick.Stop()
		for ctx.Err() == nil {
			if p.Signal(syscall.SIGSTOP) != nil {
				return // it has ended
			}
			time.Sleep(slowPause)
			if p.Signal(syscall.SIGCONT) != nil {
				return
			}
			<-tick.C
		}
	})
	once := sync.OnceFunc(func() {
		cancel()
		group.Wait()
		_ = p.Signal(syscall.SIGCONT) // it may have ended
	})
	t.Cleanup(once) // before the brokers are told to end
	return once
}

// useMethod reloads the balancer with a method.
func (s *speedTest) useMethod(method string) {
	s.t.Helper()
	if s.method == "" {
		s.method = "round-robin"
	}
	if method != s.method {
		s.change(s.lb.config, fmt.Sprintf("lb_method = %q", s.method), fmt.Sprintf("lb_method = %q", method))
		s.method = method
	}
	if err := admin.NewClient(s.lb.socket).Do(s.t.Context(), http.MethodPost, "reload", nil, nil); err != nil {
		s.t.Fatal(err)
	}
}

// chosen is how often each broker was chosen so far.
func (s *speedTest) chosen() map[string]uint64 {
	s.t.Helper()
	var st lb.Status
	if err := admin.NewClient(s.lb.socket).Do(s.t.Context(), http.MethodGet, "lb/status", nil, &st); err != nil {
		s.t.Fatal(err)
	}
	out := map[string]uint64{}
	for _, m := range st.Pools[0].Members {
		for _, n := range m.Chosen {
			out[m.Name] += n
		}
	}
	return out
}

// signIns lets people sign in at an even rate, whatever the brokers do, and gives how long each
// took from the moment that it was due.
func (s *speedTest) signIns(length time.Duration) (took []time.Duration) {
	s.t.Helper()
	var group sync.WaitGroup
	results := make([]time.Duration, int(length.Seconds()*speedLogins))
	errs := make([]error, len(results))
	begin := time.Now()
	for i := range results {
		due := begin.Add(time.Duration(i) * time.Second / speedLogins)
		time.Sleep(time.Until(due))
		s.people++
		n := s.people
		group.Go(func() {
			errs[i] = s.signIn(n)
			results[i] = time.Since(due)
		})
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			s.t.Errorf("login %d: %v", i, err)
		}
	}
	return results
}

// signIn is the login of one more person at a thin client of his own.
func (s *speedTest) signIn(n int) error {
	users := demodir.Users()
	u := users[n%len(users)]
	body, err := json.Marshal(api.LoginRequest{User: u.Name, Password: u.Password, Client: api.Client{Name: "thin client"}})
	if err != nil {
		return err
	}
	own := netip.AddrFrom4([4]byte{127, 5, byte(n / 250), byte(1 + n%250)})
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(own, 0))}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	resp, err := client.Post(s.url+"/api/v1/login", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(text), `"token"`)) {
		err = fmt.Errorf("%s: %.200s", resp.Status, text)
	}
	return err
}
