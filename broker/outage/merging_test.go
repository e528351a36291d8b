package outage

import (
	"context"
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

func nothing(context.Context, nodeTx) error { return nil }

// TestMergeSetsAside: acts that the database never takes keep no other out.
func TestMergeSetsAside(t *testing.T) {
	w := newWorld(t)
	var acts []broker.Act
	var hashes [][32]byte
	for i := range 40 {
		r, hash := record("carl")
		s := r.NewSession.Session
		s.Created, s.Expires = time.Now(), time.Now().Add(time.Hour)
		switch i {
		case 7:
			s.ID = "no id at all"
		case 39:
			r.Log.ID = "neither"
		default:
			hashes = append(hashes, hash)
		}
		acts = append(acts, sessionAct(r, s))
	}
	if err := w.node.journal(t.Context(), acts...); err != nil {
		t.Fatal(err)
	}
	if err := w.node.write(t.Context(), func(ctx context.Context, tx nodeTx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO journal (act) VALUES (CAST('{"kind"' AS BLOB))`) // half an act
		return err
	}, func() { w.node.count.Add(1) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is merged", 30*time.Second, func() bool { return w.node.unmerged() == 0 })
	w.until(mode.Normal, 10*time.Second)
	if n := w.node.refused(); n != 3 {
		t.Errorf("%d acts are set aside", n)
	}
	for _, hash := range hashes {
		if _, err := w.primary.Session(t.Context(), hash); err != nil {
			t.Error(err)
		}
	}
}

// TestNoTables: a database without its tables is away, and takes no act with it.
func TestNoTables(t *testing.T) {
	w := newWorld(t)
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.server.Exec(`ALTER SCHEMA public RENAME TO lost`)
	_, _, hash, _ := w.login("carl")
	w.until(mode.HostCache, 10*time.Second)
	w.server.Exec(`ALTER SCHEMA lost RENAME TO public`)
	w.until(mode.Normal, 60*time.Second)
	if _, err := w.primary.Session(t.Context(), hash); err != nil {
		t.Error(err)
	}
}

// TestWriteAfterTheEnd: nobody waits for a writer that has gone.
func TestWriteAfterTheEnd(t *testing.T) {
	n, err := openNode(t.Context(), t.TempDir()+"/"+nodeFile)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	n.run(ctx)
	if err := n.write(context.WithoutCancel(ctx), nothing, nil); !errors.Is(err, errNodeClosed) {
		t.Errorf("%v", err)
	}
}

// TestLoneFailure: one call that wrote in vain makes no outage of a database that takes every beat, and
// two that did so for long enough do.
func TestLoneFailure(t *testing.T) {
	s := &Store{profile: mode.Fast()}
	s.state.Store(&mode.State{Mode: mode.Normal})
	begun := time.Now()
	s.noteWrite(broker.ErrUnavailable)
	s.learn(begun, begun.Add(3*time.Second), nil)
	if s.facts.good.IsZero() {
		t.Error("one failure is an outage")
	}
	s.noteWrite(broker.ErrUnavailable)
	s.learn(begun, begun.Add(4*time.Second), nil)
	if !s.facts.good.IsZero() {
		t.Error("the database counts as good though nothing can be written")
	}
	s.learn(begun, begun.Add(time.Minute), nil)
	if s.facts.good.IsZero() || s.facts.unwritten != nil {
		t.Error("what failed a minute ago still counts")
	}
}
