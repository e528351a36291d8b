package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchpoint/internal/covers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBuildsForWindows: the agent, and the program that it is a command of.
func TestBuildsForWindows(t *testing.T) {
	covers.Req(t, "BR5")
	t.Parallel()
	for _, pkg := range []string{"switchpoint/broker/agent", "switchpoint/cmd/switchpoint"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(t.TempDir(), "agent.exe"), pkg)
		cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", pkg, err, out)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures := 1; failures < 40; failures++ {
		least, most := backoff(failures, 0), backoff(failures, 1)
		want := min(longestWait, firstWait<<min(failures, 6))
		if most != want || least != want/10 {
			t.Errorf("%d failures: %v to %v", failures, least, most)
		}
	}
}

func TestConfig(t *testing.T) {
	good := Config{Brokers: []string{"https://cb.company.com", "http://127.0.0.1:8080/"}, StateDir: "/x", Token: "env:T", Address: "10.0.0.1"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for path, c := range map[string]Config{
		"brokers:":    {StateDir: "/x"},
		"brokers[0]:": {StateDir: "/x", Brokers: []string{"http://cb.company.com"}},
		"brokers[1]:": {StateDir: "/x", Brokers: []string{"https://a", "https://bob:pw@b"}},
		"state_dir:":  {Brokers: good.Brokers},
		"token:":      {StateDir: "/x", Brokers: good.Brokers, Token: "spe1.secret"},
		"address:":    {StateDir: "/x", Brokers: good.Brokers, Address: "here"},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %v", path, err)
		}
	}
}

func TestLogind(t *testing.T) {
	text := "Name=anna\nClass=user\nState=active\n\nName=gdm\nClass=greeter\nState=active\n\n" +
		"Class=user\nName=bert\nState=online\n\nName=carl\nClass=user\nState=closing\n\nName=\nClass=user\nState=active\n"
	want := []Session{{"anna", Active}, {"bert", Disconnected}}
	if got := parseLogind(text); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := parseLogind(""); got != nil {
		t.Errorf("%+v", got)
	}
}

// utmp makes an entry as login writes it.
func utmp(size int, kind uint16, pid int32, user string) []byte {
	b := make([]byte, size)
	binary.NativeEndian.PutUint16(b, kind)
	binary.NativeEndian.PutUint32(b[utmpPID:], uint32(pid))
	copy(b[utmpUser:utmpUser+utmpUserLen], user)
	return b
}

func TestUtmp(t *testing.T) {
	for _, size := range []int{utmpEntry("amd64"), utmpEntry("arm64")} {
		text := slices.Concat(utmp(size, 2, 1, "reboot"), utmp(size, utmpUserProcess, 10, "anna"), utmp(size, utmpUserProcess, 11, "gone"),
			utmp(size, 8, 12, "dead"), utmp(size, utmpUserProcess, 10, strings.Repeat("x", 40)), utmp(size, utmpUserProcess, 10, "cut off")[:size-1])
		got := parseUtmp(text, size, func(pid int) bool { return pid == 10 })
		if want := []Session{{"anna", Active}, {strings.Repeat("x", 32), Active}}; !reflect.DeepEqual(got, want) {
			t.Errorf("%+v", got)
		}
	}
}

func FuzzParseUtmp(f *testing.F) {
	f.Add(utmp(384, utmpUserProcess, 1, "anna"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, s := range parseUtmp(text, 384, func(int) bool { return true }) {
			if (HeartbeatRequest{Sessions: []Session{s}}).Check() != nil {
				t.Errorf("%+v cannot be reported", s)
			}
		}
	})
}

func FuzzParseLogind(f *testing.F) {
	f.Add("Name=anna\nClass=user\nState=active\n\nName=b")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseLogind(text) {
			if (HeartbeatRequest{Sessions: []Session{s}}).Check() != nil {
				t.Errorf("%+v cannot be reported", s)
			}
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add(200, []byte(`{"interval":30,"reset":{"id":"r1","age":5}}`))
	f.Add(200, []byte(`{"interval":-1,"reset":{}}`))
	f.Add(503, []byte(`{"reason":{"code":"busy","retry_after":99999999999}}`))
	f.Add(502, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		var out HeartbeatResponse
		err := decodeAnswer(status, text, &out)
		if status != 200 && err == nil {
			t.Errorf("status %d counts as an answer", status)
		}
		var no *refusedError
		if errors.As(err, &no) && (no.retry < 0 || no.retry > maxInterval) {
			t.Errorf("%q makes the agent wait %v", text, no.retry)
		}
		if err == nil && (seconds(out.Interval, Interval) <= 0 || seconds(out.Interval, Interval) > maxInterval) {
			t.Errorf("%q: next heartbeat after %v", text, seconds(out.Interval, Interval))
		}
	})
}

// script is a broker that answers as it is told.
type script struct {
	*httptest.Server
	mu     sync.Mutex
	beats  []HeartbeatRequest
	answer func(n int, path string) (int, any)
	n      int
}

func newScript(t *testing.T, answer func(n int, path string) (int, any)) *script {
	s := &script{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.URL.Path == PathHeartbeat {
			var beat HeartbeatRequest
			if err := json.NewDecoder(r.Body).Decode(&beat); err != nil || r.Header.Get("Authorization") != "Bearer the-key" {
				t.Errorf("%v, %q", err, r.Header.Get("Authorization"))
			}
			s.beats = append(s.beats, beat)
		}
		status, body := s.answer(s.n, r.URL.Path)
		s.n++
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(s.Close)
	return s
}

func refuse(code string, retry int) Refusal {
	var r Refusal
	r.Reason.Code, r.Reason.Text, r.Reason.RetryAfter = code, "no", retry
	return r
}

// run starts an agent whose waits are told to see and not slept; it ends after so many.
func run(t *testing.T, o Options, waits int) ([]time.Duration, string, error) {
	t.Helper()
	var slept []time.Duration
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	if o.StateDir == "" {
		o.StateDir = t.TempDir()
	}
	o.Desktop = "d1"
	if o.Sessions == nil {
		o.Sessions = func(context.Context) ([]Session, error) { return []Session{{"anna", Active}}, nil }
	}
	o.Load = func() float64 { return 0.5 }
	o.Wait = func(ctx context.Context, d time.Duration) error {
		if slept = append(slept, d); len(slept) > waits {
			return context.Canceled
		}
		return nil
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	err = a.Run(t.Context())
	if strings.Contains(log.String(), "the-key") || strings.Contains(log.String(), "the-token") {
		t.Errorf("the log tells a secret:\n%s", log.String())
	}
	return slept, log.String(), err
}

func happy(_ int, path string) (int, any) {
	if path == PathEnrol {
		return 200, EnrolResponse{Desktop: "d1", Key: "the-key", Interval: 30}
	}
	return 200, HeartbeatResponse{Interval: 30}
}

// TestEnrolOnce: the key is kept, and the token not needed again.
func TestEnrolOnce(t *testing.T) {
	covers.Req(t, "BR5")
	t.Setenv("AGENT_TOKEN", "the-token")
	s := newScript(t, happy)
	dir := t.TempDir()
	o := Options{Config: Config{Brokers: []string{s.URL}, StateDir: dir, Token: "env:AGENT_TOKEN"}, Version: "1.0"}
	slept, _, err := run(t, o, 3)
	if err != nil || len(s.beats) != 2 || s.beats[0].Load != 0.5 || s.beats[0].Version != "1.0" || s.beats[0].Sessions[0].User != "anna" {
		t.Fatalf("%+v, %v", s.beats, err)
	}
	if slept[0] != 0 || slept[1] > time.Second || slept[2] < 27*time.Second || slept[2] > 33*time.Second {
		t.Errorf("waits %v", slept)
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	o.Token = ""
	slept, _, err = run(t, o, 1)
	if err != nil || len(s.beats) != 3 || slept[0] > Interval/3 {
		t.Errorf("with the key of before: %d heartbeats, waits %v, %v", len(s.beats), slept, err)
	}
}

func TestNoTokenOrRefused(t *testing.T) {
	t.Setenv("AGENT_TOKEN", "the-token")
	s := newScript(t, func(int, string) (int, any) { return 401, refuse(codeEnrolRefused, 0) })
	if _, _, err := run(t, Options{Config: Config{Brokers: []string{s.URL}}}, 5); err == nil || !strings.Contains(err.Error(), "enrol-token") {
		t.Errorf("without key and token: %v", err)
	}
	if _, _, err := run(t, Options{Config: Config{Brokers: []string{s.URL}, Token: "env:AGENT_TOKEN"}}, 5); err == nil || !strings.Contains(err.Error(), codeEnrolRefused) {
		t.Errorf("with a token that is refused: %v", err)
	}
}

// TestAnotherBroker: one that is gone is left for the next, with longer and longer waits.
func TestAnotherBroker(t *testing.T) {
	t.Setenv("AGENT_TOKEN", "the-token")
	gone := httptest.NewServer(nil)
	gone.Close()
	s := newScript(t, happy)
	o := Options{Config: Config{Brokers: []string{gone.URL, s.URL}, Token: "env:AGENT_TOKEN"}}
	if _, log, err := run(t, o, 12); err != nil || len(s.beats) < 10 || strings.Count(log, "no heartbeat") > 1 {
		t.Errorf("%d heartbeats, %v\n%s", len(s.beats), err, log)
	}
	o.Brokers = o.Brokers[:1]
	slept, log, err := run(t, o, 12)
	if err != nil || strings.Count(log, "no heartbeat") != 1 {
		t.Errorf("%v\n%s", err, log)
	}
	for i, d := range slept[7:] {
		if d < longestWait/10 || d > longestWait {
			t.Errorf("wait %d is %v", i+7, d)
		}
	}
}

// TestBusyBroker: the wait that a broker asks for is kept, and spread.
func TestBusyBroker(t *testing.T) {
	t.Setenv("AGENT_TOKEN", "the-token")
	s := newScript(t, func(n int, path string) (int, any) {
		switch n {
		case 1:
			return 503, refuse("busy", 20)
		case 2:
			return 401, refuse(codeUnknown, 0)
		}
		return happy(n, path)
	})
	slept, _, err := run(t, Options{Config: Config{Brokers: []string{s.URL}, Token: "env:AGENT_TOKEN"}}, 6)
	if err != nil || slept[2] < 20*time.Second || slept[2] > 40*time.Second || len(s.beats) != 4 {
		t.Errorf("waits %v, %d heartbeats, %v", slept, len(s.beats), err)
	}
}

// TestUnlistedSessions: not knowing whose sessions run is not the same as none.
func TestUnlistedSessions(t *testing.T) {
	t.Setenv("AGENT_TOKEN", "the-token")
	s := newScript(t, happy)
	o := Options{Config: Config{Brokers: []string{s.URL}, Token: "env:AGENT_TOKEN"}}
	o.Sessions = func(context.Context) ([]Session, error) { return nil, errors.New("no logind") }
	if _, log, err := run(t, o, 4); err != nil || len(s.beats) != 0 || !strings.Contains(log, "no logind") {
		t.Errorf("%d heartbeats, %v\n%s", len(s.beats), err, log)
	}
}

// TestReset: the command is run once, its success is told until the broker has it; a machine that
// starts clean reports what was asked before its start.
func TestReset(t *testing.T) {
	covers.Req(t, "BR5")
	t.Setenv("AGENT_TOKEN", "the-token")
	for name, c := range map[string]struct {
		command []string
		clean   bool
		age     int
		want    []string // reset_done of each heartbeat
	}{
		"a command":           {[]string{"true"}, false, 5, []string{"", "r1", "r1", "r1"}},
		"one that fails":      {[]string{"false"}, false, 5, []string{"", "", "", ""}},
		"none":                {nil, false, 5, []string{"", "", "", ""}},
		"a clean start":       {nil, true, 700, []string{"", "r1", "r1", "r1"}},
		"a start before that": {nil, true, 500, []string{"", "", "", ""}},
	} {
		s := newScript(t, func(_ int, path string) (int, any) {
			if path == PathEnrol {
				return happy(0, path)
			}
			return 200, HeartbeatResponse{Interval: 30, Reset: &Reset{ID: "r1", Age: c.age}}
		})
		o := Options{Config: Config{Brokers: []string{s.URL}, Token: "env:AGENT_TOKEN", ResetCommand: c.command, CleanBoot: c.clean}}
		o.Uptime = func() (time.Duration, error) { return 600 * time.Second, nil }
		if _, _, err := run(t, o, 5); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range s.beats {
			got = append(got, b.ResetDone)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestSystem asks this machine.
func TestSystem(t *testing.T) {
	if up, err := systemUptime(); err != nil || up <= 0 {
		t.Errorf("up %v, %v", up, err)
	}
	if load := systemLoad()(); load < 0 {
		t.Errorf("load %v", load)
	}
	list, err := systemSessions(t.Context())
	if err == nil && (HeartbeatRequest{Sessions: list}).Check() != nil {
		t.Errorf("%+v", list)
	}
}
