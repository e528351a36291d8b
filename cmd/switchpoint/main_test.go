package main

import (
	"os"
	"testing"
)

// asMain makes the test binary behave as the program, so that the demo's child processes run
// the code under test, race detector included.
const asMain = "SWITCHPOINT_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
