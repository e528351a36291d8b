package sites

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// source gives the one way of reading that the options name.
func (o Options) source() (func(context.Context) (*Set, error), error) {
	var ways []func(context.Context) (*Set, error)
	if o.Config != nil {
		if err := o.Config.Validate(); err != nil {
			return nil, err
		}
		config := *o.Config
		ways = append(ways, func(ctx context.Context) (*Set, error) { return Read(ctx, config) })
	}
	if o.LDIF != "" {
		ways = append(ways, fromFile(o.LDIF, readLDIF))
	}
	if o.CSV != "" {
		ways = append(ways, fromFile(o.CSV, readCSV))
	}
	if len(ways) != 1 {
		return nil, errors.New("sites and subnets come from one source: domain controllers, an LDIF file or a CSV file")
	}
	return ways[0], nil
}

func fromFile(path string, parse func(string, io.Reader, time.Time) (*Set, error)) func(context.Context) (*Set, error) {
	return func(context.Context) (*Set, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read sites: %w", err)
		}
		defer f.Close()
		set, err := parse(path, f, time.Now())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return set, nil
	}
}
