package main

import (
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
	"switchpoint/peer"
)

// TestRedirectPage does what docs/redirect.md tells administrators to do, from top to bottom: each file
// that stands there is written, each command is typed, and prints what stands there.
func TestRedirectPage(t *testing.T) {
	covers.Req(t, "RD2", "RD3", "RD8")
	s := newRedirectSite(t)
	p := readPage(t, "redirect.md")
	commands := 0
	for i, part := range p.parts {
		switch part.language {
		case "toml":
			s.write(part.text)
		case "console":
			var out strings.Builder
			for _, x := range parseExchanges(t, part.text, s.addresses) {
				out.WriteString(x.prompt() + x.typed + "\n" + s.settled(x))
				commands++
			}
			p.parts[i].text = out.String()
		}
	}
	if *update {
		p.write(t)
	}
	if commands < 15 {
		t.Errorf("the page has only %d commands", commands)
	}
}

// newRedirectSite is the machines of the page with the demo's directory, on loopback addresses that stand
// for those of the page.
func newRedirectSite(t *testing.T) *site {
	t.Helper()
	t.Setenv(asMain, "1")
	network := fmt.Sprintf("127.%d.%d.", 100+mathrand.IntN(100), 1+mathrand.IntN(250)) // two runs on one machine must not meet
	s := &site{t: t, dir: shortDir(t), programs: map[string]*process{}, addresses: map[string]string{
		"uk-1": network + "11", "us-1": network + "21", "dc": network + "36", "pc": network + "99",
	}}
	ca, err := newAuthority(s.dir)
	bin := filepath.Join(s.dir, "bin")
	self, failed := os.Executable()
	if err := errors.Join(err, failed, os.Mkdir(bin, 0o700), os.Symlink(self, filepath.Join(bin, "switchpoint"))); err != nil {
		t.Fatal(err)
	}
	to := []string{"192.0.2.", network, "cb.uk.company.com", network + "11", "cb.us.company.com", network + "21", "cb.old.company.com", network + "22", "dc.company.com", network + "36"}
	for machine, address := range s.addresses {
		certs, secrets := filepath.Join(s.etc(machine), "certs"), filepath.Join(s.etc(machine), "secrets")
		if err := errors.Join(os.MkdirAll(s.state(machine), 0o700), os.MkdirAll(certs, 0o700), os.MkdirAll(secrets, 0o700),
			os.WriteFile(filepath.Join(secrets, "ldap"), []byte(demoServicePassword()), 0o600),
			ca.Issue(machine, address),
			os.Symlink(filepath.Join(s.dir, "ca.pem"), filepath.Join(certs, "ca.pem")),
			os.Symlink(filepath.Join(s.dir, machine+".pem"), filepath.Join(certs, "own.pem")),
			os.Symlink(filepath.Join(s.dir, machine+".key"), filepath.Join(certs, "own.key"))); err != nil {
			t.Fatal(err)
		}
		id, err := peer.LoadIdentity(s.state(machine))
		if err != nil {
			t.Fatal(err)
		}
		to = append(to, "the key of "+machine, id.PublicKey())
	}
	s.to = strings.NewReplacer(to...)
	s.from = strings.NewReplacer(network+"11", "cb.uk.company.com", network+"21", "cb.us.company.com", network+"22", "cb.old.company.com", network+"36", "dc.company.com", network, "192.0.2.")
	t.Cleanup(s.stopPrograms)
	directory := &process{name: "directory", log: filepath.Join(s.dir, "directory.log")}
	if err := directory.launch("demo", "directory", "--listen", s.addresses["dc"]+":636",
		"--cert", filepath.Join(s.dir, "dc.pem"), "--key", filepath.Join(s.dir, "dc.key"), "--until-eof"); err != nil {
		t.Fatal(err)
	}
	s.programs["directory"] = directory
	return s
}

func (s *site) stopPrograms() {
	for name, p := range s.programs {
		p.stop()
		if text, err := os.ReadFile(p.log); err == nil && s.t.Failed() {
			s.t.Logf("the log of %s:\n%s", name, text[max(0, len(text)-4000):])
		}
	}
}

// settled types a command and compares what it prints with the page. All that the page does may be asked
// for again, until the checks have seen what has happened.
func (s *site) settled(x exchange) string {
	s.t.Helper()
	if m := systemctl.FindStringSubmatch(x.typed); m != nil {
		s.systemctl(x.machine, m[1])
		return ""
	}
	wait := patience
	if *update && !strings.Contains(x.typed, " --node ") {
		wait = 0 // each sign-in more would be one more hit
	}
	for end := time.Now().Add(wait); ; time.Sleep(200 * time.Millisecond) {
		got := s.sh(x.machine, x.typed)
		switch {
		case maskedPage(got) == maskedPage(x.prints):
			return x.prints
		case *update && time.Now().After(end):
			return got
		case time.Now().After(end):
			s.t.Errorf("%s%s\nprints:\n%s\nthe page has:\n%s", x.prompt(), x.typed, got, x.prints)
			return got
		}
	}
}
