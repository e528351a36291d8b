package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"switchpoint/internal/realserver"
)

const (
	// asMain makes the test binary behave as the program, so that the demo's child processes run
	// the code under test, race detector included.
	asMain = "SWITCHPOINT_TEST_AS_MAIN"
	// asVersion is the version that such a process has.
	asVersion = "SWITCHPOINT_TEST_VERSION"
	// asSkewed is by how much the clock of such a process is wrong.
	asSkewed = "SWITCHPOINT_TEST_CLOCK"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asMain) == "":
		os.Exit(m.Run())
	case os.Getenv(asSkewed) != "":
		os.Exit(runSkewed(os.Getenv(asSkewed)))
	}
	if v := os.Getenv(asVersion); v != "" {
		version = v
	}
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// runSkewed runs this program in a child with another clock.
func runSkewed(by string) int {
	skew, err := time.ParseDuration(by)
	if err == nil {
		err = os.Unsetenv(asSkewed)
	}
	var self string
	if err == nil {
		self, err = os.Executable()
	}
	code := 1
	if err == nil {
		code, err = realserver.RunSkewed(skew, self, os.Args[1:]...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
