package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"switchpoint/broker"
	"switchpoint/configs"
	"switchpoint/redirect"
)

// offline follows the rules of a file for attributes that are given.
func (t redirectTest) offline(cmd *cobra.Command) error {
	setup, cluster, err := t.load()
	if err != nil {
		return err
	}
	d, err := t.rulesOf(setup)
	if err != nil {
		return err
	}
	table, err := redirect.Compile(*d.Redirect, setup.Destinations, cluster)
	if err != nil {
		return fmt.Errorf("the rules of directory %s are not usable:\n%w", d.Name, err)
	}
	for _, name := range slices.Concat(t.down, t.assigned) {
		if _, ok := table.Destination(name); !ok {
			return usagef(cmd, "there is no destination %q", name)
		}
	}
	q := redirect.Question{Attributes: map[string][]string{}, Assigned: map[string]redirect.Assigned{}}
	for _, pair := range t.attributes {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return usagef(cmd, "--attribute %q is not NAME=VALUE", pair)
		}
		q.Attributes[name] = append(q.Attributes[name], value)
	}
	q.Available = func(name string) (bool, string) {
		if slices.Contains(t.down, name) {
			return false, "supposed to be down"
		}
		return true, "supposed to be up"
	}
	for _, name := range t.assigned {
		q.Assigned[name] = redirect.Assigned{Answer: redirect.Yes, Reason: "supposed to be so"}
	}
	x := broker.TryRules(table, q)
	x.Directory = d.Name
	return printLines(cmd.OutOrStdout(), x.Lines())
}

// load reads the setup and says which cluster it is for.
func (t redirectTest) load() (*broker.Setup, string, error) {
	file, cluster := t.file, t.cluster
	var monitors []string
	if t.config != "" {
		cfg, err := configs.Load(t.config)
		if err != nil {
			return nil, "", fmt.Errorf("%s is not usable:\n%w", t.config, err)
		}
		if cfg.Broker == nil || cfg.Broker.Seed == "" {
			return nil, "", fmt.Errorf("%s has no [broker] with a seed; name the file with the rules by --file", t.config)
		}
		file, cluster, monitors = cfg.Broker.Seed, cfg.Broker.Cluster, monitorNames(cfg)
	}
	checkAs := cluster
	if t.config == "" {
		checkAs = "" // the monitors of the process are not known here
	}
	setup, err := configs.LoadSetup(file, monitors, checkAs)
	if err != nil {
		return nil, "", fmt.Errorf("%s is not usable:\n%w", file, err)
	}
	return setup, cluster, nil
}

// rulesOf finds the directory whose rules are meant.
func (t redirectTest) rulesOf(setup *broker.Setup) (broker.Directory, error) {
	var names []string
	for _, d := range setup.Directories {
		if d.Name == t.directory || t.directory == "" {
			if d.Redirect == nil {
				return d, fmt.Errorf("directory %s has no [directory.redirect]: everybody logs in here", d.Name)
			}
			return d, nil
		}
		names = append(names, d.Name)
	}
	if len(names) == 0 {
		return broker.Directory{}, fmt.Errorf("the file has no [[directory]]")
	}
	return broker.Directory{}, fmt.Errorf("there is no directory %q; there are: %s", t.directory, strings.Join(names, ", "))
}
