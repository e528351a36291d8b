package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/bench/pgserver"
	"switchpoint/internal/covers"
)

// TestClusterPage does what docs/cluster.md tells administrators to do, from top to bottom: each file
// that stands there is written, each command is typed, and prints what stands there.
func TestClusterPage(t *testing.T) {
	covers.Req(t, "CL4", "CL5")
	s := newSite(t)
	p := readPage(t, "cluster.md")
	commands := 0
	for i, part := range p.parts {
		switch part.language {
		case "toml", "sql", "csv":
			s.write(part.text)
		case "console":
			var out strings.Builder
			for _, x := range parseExchanges(t, part.text, s.addresses) {
				out.WriteString(x.prompt() + x.typed + "\n" + s.exchange(x))
				commands++
			}
			p.parts[i].text = out.String()
		}
	}
	if *update {
		p.write(t)
	}
	if commands < 25 {
		t.Errorf("the page has only %d commands", commands)
	}
}

// site is the machines of the page, on loopback addresses that stand for those of the page.
type site struct {
	t         *testing.T
	dir       string
	addresses map[string]string // by machine
	to, from  *strings.Replacer // from the page's names and addresses to those of the test, and back
	database  *pgserver.Server
	programs  map[string]*process
}

const databaseName = "db.company.com"

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: shortDir(t), addresses: map[string]string{}, programs: map[string]*process{}}
	// Two runs of the test on one machine must not meet.
	network := fmt.Sprintf("127.%d.%d.", 100+mathrand.IntN(100), 1+mathrand.IntN(250))
	if err := os.Chmod(s.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	for machine, host := range map[string]string{"broker-1": "11", "broker-2": "12", "broker-3": "13", "broker-4": "14", "lb": "80", "db": "54", "pc": "99"} {
		s.addresses[machine] = network + host
	}
	s.to = strings.NewReplacer("192.0.2.", network, databaseName, network+"54", "cb.company.com", network+"80")
	s.from = strings.NewReplacer(network+"54", databaseName, network+"80", "cb.company.com", network, "192.0.2.")
	s.equip()
	t.Cleanup(s.end)
	return s
}

// equip makes the machines' folders and certificates, and starts the database server.
func (s *site) equip() {
	s.t.Helper()
	ca, err := newAuthority(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for machine, address := range s.addresses {
		certs := filepath.Join(s.etc(machine), "certs")
		err := errors.Join(os.MkdirAll(s.state(machine), 0o700), os.MkdirAll(certs, 0o700), os.MkdirAll(filepath.Join(s.etc(machine), "secrets"), 0o700),
			ca.Issue(machine, address),
			os.Symlink(filepath.Join(s.dir, "ca.pem"), filepath.Join(certs, "ca.pem")),
			os.Symlink(filepath.Join(s.dir, machine+".pem"), filepath.Join(certs, "own.pem")),
			os.Symlink(filepath.Join(s.dir, machine+".key"), filepath.Join(certs, "own.key")))
		if err != nil {
			s.t.Fatal(err)
		}
	}
	bin := filepath.Join(s.dir, "bin")
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(os.Mkdir(bin, 0o700), os.Symlink(self, filepath.Join(bin, "switchpoint")))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.database, err = pgserver.Start(s.t.Context(), pgserver.Options{
		Dir: filepath.Join(s.dir, "pg"), Addr: s.addresses["db"] + ":5432", Password: rand.Text(),
		Cert: filepath.Join(s.dir, "db.pem"), Key: filepath.Join(s.dir, "db.key"),
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) end() {
	for name, p := range s.programs {
		p.stop()
		if text, err := os.ReadFile(p.log); err == nil && s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", name, text[max(0, len(text)-4000):])
		}
	}
	if err := s.database.Stop(); err != nil {
		s.t.Error(err)
	}
}

func (s *site) state(machine string) string { return filepath.Join(s.dir, "state", machine) }
func (s *site) etc(machine string) string   { return filepath.Join(s.dir, "etc", machine) }

// local puts the machine's own folders and addresses into a text of the page.
func (s *site) local(machine, text string) string {
	return strings.NewReplacer(pageState, s.state(machine), pageEtc, s.etc(machine)).Replace(s.to.Replace(text))
}

var fileHead = regexp.MustCompile(`^(?:#|--) ([a-z0-9-]+): (/\S+)\n`)

// write makes the file that a block shows; its first line says on which machine and where.
func (s *site) write(block string) {
	s.t.Helper()
	m := fileHead.FindStringSubmatch(block)
	if m == nil {
		return // a part of a file, which is only shown
	}
	if s.addresses[m[1]] == "" {
		s.t.Fatalf("there is no machine %q", m[1])
	}
	text := strings.TrimPrefix(block, m[0]) // CSV has no comments
	if err := os.WriteFile(s.local(m[1], m[2]), []byte(s.local(m[1], text)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

var (
	systemctl = regexp.MustCompile(`^systemctl (start|stop|restart|kill -s KILL) switchpoint$`)
	looks     = regexp.MustCompile(`^(switchpoint (cluster|jobs|health) list|\S*=?\S* ?switchpoint login) `)
)

// exchange types a command and compares what it prints with the page. What only looks is asked again
// for a while: liveness and checks take their time.
func (s *site) exchange(x exchange) string {
	s.t.Helper()
	if m := systemctl.FindStringSubmatch(x.typed); m != nil {
		s.systemctl(x.machine, m[1])
		return ""
	}
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		got := s.sh(x.machine, x.typed)
		switch same := maskedPage(got) == maskedPage(x.prints); {
		case same:
			return x.prints
		case *update && time.Now().After(end.Add(12*time.Second-patience)), *update && !looks.MatchString(x.typed):
			return got
		case *update:
		case !looks.MatchString(x.typed) || time.Now().After(end):
			s.t.Errorf("%s%s\nprints:\n%s\nthe page has:\n%s", x.prompt(), x.typed, got, x.prints)
			return got
		}
	}
}

// sh runs a command line of the page on a machine and gives what it prints.
func (s *site) sh(machine, line string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "sh", "-c", s.local(machine, line))
	cmd.Env = append(os.Environ(), asMain+"=1", "SWITCHPOINT_COVERS=", "GORACE=atexit_sleep_ms=0", "LC_ALL=C", "TZ=UTC",
		"HOME="+s.etc(machine), "USER=olga", "LOGNAME=olga", "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"))
	if machine == "db" { // its superuser
		cmd.Env = append(cmd.Env, "PGHOST="+filepath.Join(s.dir, "pg"), "PGPORT=5432", "PGUSER=postgres")
	}
	cmd.Dir = s.etc(machine)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Fatalf("%s: %v", line, err)
	}
	return strings.NewReplacer(s.state(machine), pageState, s.etc(machine), pageEtc).Replace(s.from.Replace(out.String()))
}

// systemctl is what the service manager would do, and waits until that has happened.
func (s *site) systemctl(machine, verb string) {
	s.t.Helper()
	if p := s.programs[machine]; p != nil {
		switch verb {
		case "stop", "restart":
			p.stop()
		case "kill -s KILL":
			p.kill()
		}
	}
	if verb != "start" && verb != "restart" {
		return
	}
	p := &process{name: machine, log: filepath.Join(s.dir, machine+".log"), socket: filepath.Join(s.state(machine), admin.SocketName)}
	s.t.Setenv(asMain, "1")
	if err := p.launch("run", "-c", filepath.Join(s.etc(machine), "switchpoint.toml"), "--until-eof"); err != nil {
		s.t.Fatal(err)
	}
	s.programs[machine] = p
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := admin.NewClient(p.socket).Ready(context.Background())
		if err == nil {
			return
		}
		if !p.running() {
			s.t.Fatal(p.died())
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s is not ready: %v", machine, err)
		}
	}
}
