package main

import (
	"bytes"
	"testing"

	"switchpoint/internal/covers"
)

// TestClusterStory is `switchpoint demo --cluster --once`: five brokers on one PostgreSQL, two of which
// are killed while clients sign in and ask for their desktops.
func TestClusterStory(t *testing.T) {
	covers.Req(t, "CL1", "CL2", "DC3")
	t.Setenv(asMain, "1")
	s, err := prepareClusterStage(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			logTails(t, s.stage)
		}
	})
	var out bytes.Buffer
	if err := s.start(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	out.Reset()
	err = playClusterStory(t.Context(), &out, s)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
}
