package hostcache

import "testing"

// TestLook: the file of an earlier process counts before anything runs, and a folder without one has none.
func TestLook(t *testing.T) {
	s := embedded(t)
	fill(t, s, company(3, 1))
	made := newCache(t, s, nil)
	if made.Look(t.Context()) || made.Status().Usable {
		t.Error("there is nothing yet, and it is found")
	}
	mustSync(t, made, Updated)
	next := newCache(t, s, func(o *Options) { o.Dir = made.o.Dir })
	if next.Status().Usable {
		t.Error("nobody has looked yet")
	}
	if !next.Look(t.Context()) || !next.Status().Usable || next.Status().File != made.Status().File {
		t.Errorf("%+v", next.Status())
	}
	mustSync(t, next, Current)
}
