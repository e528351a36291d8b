package sqlite

import (
	"context"
	"testing"
	"time"
)

// TestCompileWaitsNoLongerThanItsCall: the one connection that writes may be busy for long with what others
// do, and a call whose time is over does not wait for it in order to keep a query compiled.
func TestCompileWaitsNoLongerThanItsCall(t *testing.T) {
	s := openTemp(t)
	busy, err := s.writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const query = `SELECT 'compiled'`
	over, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.writes.Compile(over, []string{query})
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("it waits for the connection")
	}
	if err := busy.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
	if stmt, wanted := s.writes.Find(query); stmt != nil || !wanted { //nolint:sqlclosecheck // there is none
		t.Error("compiled after its call was over, or never again")
	}
	s.writes.Compile(t.Context(), []string{query})
	if stmt, wanted := s.writes.Find(query); stmt == nil || wanted { //nolint:sqlclosecheck // it is kept
		t.Error("the next call does not compile it")
	}
}
