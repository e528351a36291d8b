package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

// childEnv makes the test binary a child process that claims desktops in the database there.
const childEnv = "SWITCHPOINT_SQLITE_CHILD"

const (
	children      = 5
	childUsers    = 10
	childDesktops = 30 // fewer than the users of all children
)

// child signs users in and connects them, and prints what each got.
func child(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Open(ctx, path, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Close()
	for i := range childUsers {
		got, err := claimOne(ctx, s, fmt.Sprintf("user-%d-%d", os.Getpid(), i))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(got)
	}
	return 0
}

// claimOne gives user a desktop of the pool; "none" when there is none left.
func claimOne(ctx context.Context, s *Store, user string) (string, error) {
	who := broker.Who{Directory: broker.LocalDirectory, User: user}
	n := &broker.NewSession{
		Session:   broker.Session{ID: user, Who: who, SiteID: 1, Grants: []broker.Grant{{Pool: "pool", MaxOffers: 1}}},
		TokenHash: broker.Token{SiteID: 1, Secret: [32]byte([]byte(user + strings.Repeat(" ", 32))[:32])}.Hash(), Life: time.Hour,
	}
	out, err := s.Login(ctx, broker.LoginRecord{Who: who, NewSession: n, Log: broker.LogRow{ID: user + "-login"}})
	if err != nil {
		return "", err
	}
	c, err := s.Connect(ctx, broker.ConnectRecord{Session: *out.Session, Offer: out.Offers[0].ID, Log: broker.LogRow{ID: user + "-connect"}})
	if errors.Is(err, broker.ErrNoDesktop) {
		return "none", nil
	}
	return c.Name, err
}

// TestProcesses lets five processes that share the file claim from one pool, beside one that writes
// without a pause: every desktop is given out once, all of them are, and nobody waits for too long.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	setup := broker.Setup{DesktopPools: []broker.DesktopPool{{Name: "pool", Kind: broker.KindPooled}}}
	for i := range childDesktops {
		setup.Desktops = append(setup.Desktops, broker.Desktop{Name: fmt.Sprintf("d%02d", i), Pool: "pool", Host: "h"})
	}
	if _, err := s.ReplaceSetup(t.Context(), setup.WithDefaults(), 0, broker.LogRow{ID: "setup"}); err != nil {
		t.Fatal(err)
	}
	busy, calm := context.WithCancel(t.Context())
	var writer, wg sync.WaitGroup
	writer.Go(func() {
		for busy.Err() == nil {
			if _, err := s.RecordPoolStatistics(t.Context(), time.Hour); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var outputs [children]string
	for i := range outputs {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+path)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("child %d: %v", i, err)
			}
			outputs[i] = string(out)
		})
	}
	wg.Wait()
	calm()
	writer.Wait()
	count := make(map[string]int)
	for _, name := range strings.Fields(strings.Join(outputs[:], "")) {
		count[name]++
	}
	if len(count) != childDesktops+1 || count["none"] != children*childUsers-childDesktops {
		t.Errorf("%d desktops given out, %d refused: %v", len(count)-1, count["none"], count)
	}
	for name, n := range count {
		if name != "none" && n != 1 {
			t.Errorf("%s was given out %d times", name, n)
		}
	}
}
