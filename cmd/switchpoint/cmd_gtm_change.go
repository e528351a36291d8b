package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/gtm/nodes"
	"switchpoint/gtm/steer"
)

// gtmOrder is what an operator sends to a node: a mode, an override or a pattern to release.
type gtmOrder struct {
	steer.Note
	Mode    string    `json:"mode,omitempty"`
	Pattern string    `json:"pattern,omitempty"`
	State   string    `json:"state,omitempty"`
	From    time.Time `json:"from,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Force   bool      `json:"force,omitempty"` // past the safety rules
}

// gtmChange is what became of it.
type gtmChange struct {
	Lines   []string    `json:"lines"`
	Version uint64      `json:"version"` // of the document
	Node    string      `json:"node"`    // that made it
	Acks    []nodes.Ack `json:"acks"`    // of the other nodes
}

// orderFlags are the flags of all commands that change what operators have said.
type orderFlags struct {
	node string
	gtmOrder
}

func (o *orderFlags) add(cmd *cobra.Command, safety bool) {
	addNodeFlag(cmd, &o.node)
	f := cmd.Flags()
	f.StringVar(&o.Reason, "reason", "", "why, shown wherever it has an effect")
	f.StringVar(&o.Owner, "owner", "", "who says so (default: the user who runs the command)")
	if safety {
		f.BoolVar(&o.Force, "force", false, "do it although the safety rules refuse it")
	}
}

// send gives the order to the node and prints what became of it.
func (o *orderFlags) send(cmd *cobra.Command, path string) error {
	if o.node == "" {
		return required(cmd, "node")
	}
	if !cmd.Flags().Changed("owner") {
		o.Owner = currentUser()
	}
	body, err := json.Marshal(o.gtmOrder)
	if err != nil {
		return err
	}
	var out sharedChange
	if err := ask(cmd.Context(), o.node, http.MethodPost, path, body, &out); err != nil {
		return err
	}
	return out.print(cmd.OutOrStdout(), "made it", "they answer as before, and take it as soon as one that has it reaches them")
}

func gtmModeCommand() *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:   "mode primary|dr --reason TEXT --node STATE_DIR",
		Short: "Set the mode of operation on all nodes: which pools the names with between = \"mode\" answer",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != steer.ModePrimary && args[0] != steer.ModeDR {
				return usagef(cmd, "give the mode, %s or %s", steer.ModePrimary, steer.ModeDR)
			}
			return needReason(cmd, o.Reason)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Mode = args[0]
			return o.send(cmd, "gtm/mode")
		},
	}
	o.add(cmd, true)
	return cmd
}

func gtmForceCommand() *cobra.Command {
	var o orderFlags
	var lasting time.Duration
	var from, until string
	cmd := &cobra.Command{
		Use:   "force PATTERN up|down|draining|maintenance --reason TEXT --node STATE_DIR",
		Short: "Overrule the health of names, data centres or members on all nodes, until released or expired",
		Long: `Put what PATTERN names into a state, whatever its health, on all gtm nodes. PATTERN is NAME,
NAME/DATACENTER or NAME/DATACENTER/ADDRESS:PORT, each part with * and ?: "*/us" is the data centre us
of every name, "cb.company.com/us/192.0.2.1:*" one address. down, draining and maintenance take it out,
up keeps it in. A later override counts before an earlier one. It has an owner and a reason, is kept
across restarts, and ends with gtm release, or by itself after --for or at --until.

The safety rules refuse what would leave a name with fewer data centres than its min_datacenters.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef(cmd, `give PATTERN and state, such as "*/us" down`)
			}
			return needReason(cmd, o.Reason)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Pattern, o.State = args[0], args[1]
			var err error
			if o.From, err = readMoment(cmd, "from", from); err != nil {
				return err
			}
			if o.Until, err = readMoment(cmd, "until", until); err != nil {
				return err
			}
			if cmd.Flags().Changed("for") {
				if lasting <= 0 || until != "" {
					return usagef(cmd, "--for must be longer than 0, and goes without --until")
				}
				begin := o.From
				if begin.IsZero() {
					begin = time.Now()
				}
				o.Until = begin.Add(lasting).Round(0)
			}
			return o.send(cmd, "gtm/force")
		},
	}
	o.add(cmd, true)
	f := cmd.Flags()
	f.DurationVar(&lasting, "for", 0, "how long (default: until released)")
	f.StringVar(&from, "from", "", "when it begins, such as 2026-12-31T22:00 (local time) or 2026-12-31T22:00Z (default: at once)")
	f.StringVar(&until, "until", "", "when it ends, written as --from (default: when released)")
	return cmd
}

func gtmReleaseCommand() *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:   "release PATTERN --node STATE_DIR",
		Short: "Take back the overrides under PATTERN, and end manual-resume holds there",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, `give one PATTERN, such as cb.company.com/us or "*/us"`)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Pattern = args[0]
			return o.send(cmd, "gtm/release")
		},
	}
	o.add(cmd, true)
	return cmd
}

func needReason(cmd *cobra.Command, reason string) error {
	if reason == "" {
		return required(cmd, "reason")
	}
	return nil
}

// momentForms are how people write a moment; without a zone it is local time.
var momentForms = [...]string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"}

func readMoment(cmd *cobra.Command, flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range momentForms {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef(cmd, "--%s: %q is no moment; write it as in 2026-12-31T22:00", flag, text)
}
