package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

const brokerNode = `
[node]
name = "broker1"
datacenter = "us"
state_dir = "state"

[[datacenter]]
name = "us"

[broker]
cluster = "us"
site_id = 1
listen = ["127.0.0.1:0"]
seed = "setup.toml"
`

const inventorySetup = `
[[center]]
name = "racks"
kind = "csv"
file = "racks.csv"
[[desktop_pool]]
name = "own"
kind = "assigned"
[[desktop_pool.rule]]
attribute = "center"
match = "eq"
value = "racks"
[[desktop_pool]]
name = "floor"
kind = "pooled"
[[desktop]]
name = "floor-1"
pool = "floor"
host = "10.0.0.1"
`

// TestInventoryCommands takes desktops in from a file, gives them to users from another one, and asks
// before most of them are marked as vanished.
func TestInventoryCommands(t *testing.T) {
	covers.Req(t, "BR1")
	dir := shortDir(t)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	setup := write("setup.toml", inventorySetup)
	write("racks.csv", "name,ip\nr1,10.1.0.1\nr2,10.1.0.2\nr3,10.1.0.3\n")
	a, cfg := newNode(t, dir, brokerNode)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	untilReady(t, cfg)
	state := cfg.Node.StateDir
	until := func(want string) {
		t.Helper()
		var text string
		for deadline := time.Now().Add(30 * time.Second); !strings.Contains(text, want); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never %q:\n%s", want, text)
			}
			text = entered{args: "centers"}.play(t, state)
		}
	}
	until("racks: 3 desktops, 0 vanished")
	wrong := write("wrong.csv", "user,desktop\nanna,r1\nbert,nothing\ncarl,floor-1\n")
	entered{args: "assignments import " + wrong, code: 1, want: []string{
		`line 2: add: user "anna" of local, desktop "r1"`,
		`line 3: refused: user "bert" of local, desktop "nothing"; there is no desktop "nothing"; check the name`,
		`line 4: refused: user "carl" of local, desktop "floor-1"; it stands in pooled desktop pool "floor"`,
		"1 new, 0 changed, 0 removed, 0 the same, 2 refused: nothing was done",
	}}.play(t, state)
	right := write("right.csv", "user,desktop\nAnna,r1\nbert,r2\n")
	entered{args: "assignments import --dry-run " + right, want: []string{"2 new, 0 changed, 0 removed, 0 the same, 0 refused: dry run, nothing was done"}}.play(t, state)
	entered{args: "assignments import " + right, want: []string{"2 new, 0 changed, 0 removed, 0 the same, 0 refused: done"}}.play(t, state)
	entered{args: "assignments import " + right, want: []string{"0 new, 0 changed, 0 removed, 2 the same"}}.play(t, state)
	entered{args: "assignments import", code: 2, want: []string{"name one file"}}.play(t, state)
	entered{args: "centers scan nowhere", code: 1, want: []string{`there is no center "nowhere"`}}.play(t, state)
	entered{args: "centers confirm racks", code: 1, want: []string{"no scan of center racks waits"}}.play(t, state)

	entered{args: "desktops", want: []string{"floor-1 floor - 10.0.0.1:3389 enabled - -", "r1 own racks 10.1.0.1:3389 enabled anna -", "r3 own racks 10.1.0.3:3389 enabled - -"}}.play(t, state)
	entered{args: "desktops maintenance r3 --why fan", want: []string{"nobody is connected to desktop r3 anew"}}.play(t, state)
	entered{args: "desktops list --state maintenance --columns name,state,why", want: []string{"r3 maintenance " + currentUser() + ": fan"}}.play(t, state)
	entered{args: "desktops show r3", want: []string{"center racks", "state maintenance", "why " + currentUser() + ": fan"}}.play(t, state)
	entered{args: "desktops list --limit 1 --after r1", want: []string{"r2 own racks"}}.play(t, state)
	entered{args: "desktops maintenance floor-1", code: 1, want: []string{`desktop "floor-1" stands in the setup; change its state there`}}.play(t, state)
	entered{args: "desktops release r1", code: 1, want: []string{`desktop "r1" is not in maintenance, it is enabled`}}.play(t, state)
	entered{args: "desktops release nobody", code: 1, want: []string{"not found"}}.play(t, state)
	entered{args: "desktops show nobody", code: 1, want: []string{`there is no desktop "nobody"`}}.play(t, state)
	entered{args: "desktops list --state asleep", code: 1, want: []string{`not "asleep"`}}.play(t, state)
	entered{args: "centers scan racks", want: []string{"is in the job queue"}}.play(t, state)
	entered{args: "desktops release r3", want: []string{"desktop r3 is again what its center says"}}.play(t, state)
	until("racks: 3 desktops, 0 vanished")

	write("racks.csv", "name,ip\nr1,10.1.0.1\n")
	entered{args: "apply -f " + setup, want: []string{"change center racks: csv"}}.play(t, state)
	entered{args: "centers scan racks", want: []string{"is in the job queue"}}.play(t, state)
	until("waits: if 2 desktops are really gone")
	entered{args: "centers confirm racks", want: []string{"marks up to 2 desktops as vanished"}}.play(t, state)
	until("racks: 1 desktops, 2 vanished")
}
