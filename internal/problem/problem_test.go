package problem_test

import (
	"errors"
	"fmt"
	"testing"

	"switchpoint/internal/problem"
)

func TestListIsNilWhenEmpty(t *testing.T) {
	var l problem.List
	if l.Err() != nil {
		t.Fatal("an empty list is an error")
	}
	l.Addf("a.b", "write 1", "%q is wrong", "x")
	if err := l.Err(); err == nil || err.Error() != `a.b: "x" is wrong; write 1` {
		t.Fatal(err)
	}
}

func TestUnder(t *testing.T) {
	inner := problem.List{{Path: "name", What: "is missing"}, {Path: "[1]", What: "is odd"}, {What: "is empty"}}
	var l problem.List
	l.Under("pool[0]", inner)
	l.Under("pool[1]", fmt.Errorf("wrapped: %w", inner[0]))
	l.Under("pool[2]", errors.New("plain"))
	l.Under("pool[3]", nil)
	want := "pool[0].name: is missing\npool[0][1]: is odd\npool[0]: is empty\npool[1].name: is missing\npool[2]: plain"
	if l.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", l.Error(), want)
	}
}

func TestJoin(t *testing.T) {
	for _, c := range [][3]string{{"", "a", "a"}, {"a", "", "a"}, {"a", "b", "a.b"}, {"a", "[0].b", "a[0].b"}, {"", "", ""}} {
		if got := problem.Join(c[0], c[1]); got != c[2] {
			t.Errorf("Join(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
