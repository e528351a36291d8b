//go:build !linux

package httpbench

import (
	"errors"
	"os/exec"
)

var errNeedsLinux = errors.New("this benchmark needs Linux: it pins processes to cores and reads /proc")

func startPinned(*exec.Cmd, int) error { return errNeedsLinux }

func cores() []int { return nil }

func raiseDescriptors() (uint64, error) { return 0, errNeedsLinux }

func openLoop(task) (loadResult, error) { return loadResult{}, errNeedsLinux }
