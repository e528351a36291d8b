//go:build !linux && !windows

package agent

import (
	"context"
	"errors"
	"runtime"
	"time"
)

var errSystem = errors.New("the agent knows Linux and Windows, not " + runtime.GOOS)

func systemSessions(context.Context) ([]Session, error) { return nil, errSystem }

func systemLoad() func() float64 { return func() float64 { return 0 } }

func systemUptime() (time.Duration, error) { return 0, errSystem }
