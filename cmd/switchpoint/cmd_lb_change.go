package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/lb"
	"switchpoint/lb/nodes"
)

// lbChange is what became of a word.
type lbChange struct {
	Lines []string    `json:"lines"`
	Node  string      `json:"node"` // that took it
	Acks  []nodes.Ack `json:"acks"` // of the other nodes
}

// wordFlags are the flags of all commands that say something of a member.
type wordFlags struct {
	node   string
	word   lb.Word
	within time.Duration // --for
}

func (f *wordFlags) add(cmd *cobra.Command, ends bool) {
	addNodeFlag(cmd, &f.node)
	cmd.Flags().StringVar(&f.word.Reason, "reason", "", "why, shown wherever it has an effect")
	cmd.Flags().StringVar(&f.word.Owner, "owner", "", "who says so (default: the user who runs the command)")
	if ends {
		cmd.Flags().DurationVar(&f.within, "for", 0, "how long (default: until lb enable)")
	}
}

// send gives the word to the node and prints what became of it.
func (f *wordFlags) send(cmd *cobra.Command, do, member string) error {
	if f.node == "" {
		return required(cmd, "node")
	}
	w := f.word
	w.Do = do
	w.Pool, w.Member, _ = strings.Cut(member, "/")
	if !cmd.Flags().Changed("owner") {
		w.Owner = currentUser()
	}
	if cmd.Flags().Changed("for") {
		if f.within <= 0 {
			return usagef(cmd, "--for must be longer than 0; leave it out for a word without an end")
		}
		w.Expires = time.Now().Add(f.within).Round(0)
	}
	body, err := json.Marshal(w)
	if err != nil {
		return err
	}
	var out sharedChange
	if err := ask(cmd.Context(), f.node, http.MethodPost, "lb/say", body, &out); err != nil {
		return err
	}
	return out.print(cmd.OutOrStdout(), "took it", "they go on as before, and take it as soon as they are reached")
}

func lbDrainCommand() *cobra.Command {
	var f wordFlags
	var deadline time.Duration
	cmd := &cobra.Command{
		Use:   "drain POOL/MEMBER --reason TEXT --node STATE_DIR",
		Short: "Give a member no new clients; those that it has stay, until a deadline",
		Long: `Give a member no new clients on all lb nodes. Clients that are bound to it (persistence) stay, and
what is in flight ends; with --deadline the bound clients lose it after that time. It is kept over reloads
and restarts, and ends with lb enable, or by itself after --for. lb status shows how far the drain is.
What a monitor measures is not touched: a member that goes down while it drains is down.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := oneMember(cmd, args); err != nil {
				return err
			}
			return needReason(cmd, f.word.Reason)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("deadline") {
				if deadline <= 0 {
					return usagef(cmd, "--deadline must be longer than 0; lb disable ends it at once")
				}
				f.word.Deadline = time.Now().Add(deadline).Round(0)
			}
			return f.send(cmd, lb.Drain, args[0])
		},
	}
	f.add(cmd, true)
	cmd.Flags().DurationVar(&deadline, "deadline", 0, "after which its clients go elsewhere (default: never)")
	return cmd
}

func lbDisableCommand() *cobra.Command {
	var f wordFlags
	cmd := &cobra.Command{
		Use:   "disable POOL/MEMBER --reason TEXT --node STATE_DIR",
		Short: "Give a member nobody any more; what is in flight ends",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := oneMember(cmd, args); err != nil {
				return err
			}
			return needReason(cmd, f.word.Reason)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.send(cmd, lb.Disable, args[0]) },
	}
	f.add(cmd, true)
	return cmd
}

func lbEnableCommand() *cobra.Command {
	var f wordFlags
	cmd := &cobra.Command{
		Use:   "enable POOL/MEMBER --node STATE_DIR",
		Short: "Take back drain, disable and weight: the member is as its health and the configuration say",
		Args:  oneMember,
		RunE:  func(cmd *cobra.Command, args []string) error { return f.send(cmd, lb.Enable, args[0]) },
	}
	f.add(cmd, false)
	return cmd
}

// configuredWeight takes back what was said of a weight.
const configuredWeight = "configured"

func lbWeightCommand() *cobra.Command {
	var f wordFlags
	cmd := &cobra.Command{
		Use:   "weight POOL/MEMBER N|configured --reason TEXT --node STATE_DIR",
		Short: "Let a member count for N, from 0 (no new clients) to 1000, in place of its configured weight",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef(cmd, "give POOL/MEMBER and the weight, such as brokers/us1 3, or brokers/us1 %s", configuredWeight)
			}
			if err := oneMember(cmd, args[:1]); err != nil {
				return err
			}
			if args[1] == configuredWeight {
				f.word.Weight = lb.AsConfigured
			} else if n, err := strconv.ParseUint(args[1], 10, 16); err == nil {
				f.word.Weight = int(n)
			} else {
				return usagef(cmd, "%q is no weight; write a number from 0 to 1000, or %s", args[1], configuredWeight)
			}
			return needReason(cmd, f.word.Reason)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.send(cmd, lb.Weight, args[0]) },
	}
	f.add(cmd, true)
	return cmd
}
