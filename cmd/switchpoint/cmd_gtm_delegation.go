package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"switchpoint/configs"
	"switchpoint/gtm"
	"switchpoint/healthcheck"
)

func gtmDelegationCommand() *cobra.Command {
	var d delegationFlags
	cmd := &cobra.Command{
		Use:   "delegation NAME (--node STATE_DIR | -c FILE)",
		Short: "Print the records that the parent zone needs for NAME, and verify them from outside",
		Long: `Print what to add to the parent zone so that the world asks gtm for NAME, as BIND, Active Directory
and Samba want it: for the zone itself and for the zones of its services (SRV). With --node the result
is then verified from this host: the parent's servers must hold the delegation and its glue, and each
name server must answer with authority over UDP and TCP. The exit code is 1 when something is wrong.

The parent's servers are found with the resolvers of this host, or named with --server. With -c the
records are only printed.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "give one NAME, such as cb.company.com")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd, args[0]) },
	}
	addNodeFlag(cmd, &d.node)
	f := cmd.Flags()
	f.StringVarP(&d.config, "config", "c", "", "configuration file: print the records only")
	f.StringSliceVar(&d.servers, "server", nil, "DNS server of the parent zone, ADDRESS or ADDRESS:PORT (default: found by the system's resolvers)")
	f.Uint16Var(&d.port, "port", 53, "port of the zone's name servers")
	f.DurationVar(&d.timeout, "timeout", 2*time.Second, "time for one question")
	return cmd
}

type delegationFlags struct {
	node, config string
	servers      []string
	port         uint16
	timeout      time.Duration
}

func (d delegationFlags) run(cmd *cobra.Command, name string) error {
	if (d.config == "") == (d.node == "") {
		return usagef(cmd, "give one of --node and --config")
	}
	list, err := d.delegations(cmd, name)
	if err != nil {
		return err
	}
	for i, one := range list {
		lines := one.Lines()
		if i > 0 {
			lines = append([]string{""}, lines...)
		}
		if err := printLines(cmd.OutOrStdout(), lines); err != nil {
			return err
		}
	}
	if d.config != "" {
		return nil
	}
	return d.verify(cmd, list)
}

// delegations reads them from the file or asks the node.
func (d delegationFlags) delegations(cmd *cobra.Command, name string) ([]gtm.Delegation, error) {
	if d.node != "" {
		var list []gtm.Delegation
		return list, ask(cmd.Context(), d.node, http.MethodGet, "gtm/delegation?"+nameQuery([]string{name}).Encode(), nil, &list)
	}
	cfg, err := configs.Load(d.config)
	if err != nil {
		return nil, fmt.Errorf("%s is not usable:\n%w", d.config, err)
	}
	if cfg.GTM == nil {
		return nil, fmt.Errorf("%s has no [gtm] section", d.config)
	}
	table, err := gtm.Compile(*cfg.GTM, healthcheck.New(healthcheck.Options{}).Ref)
	if err != nil {
		return nil, err
	}
	return table.Delegations(name)
}

// verify looks at each delegation from this host.
func (d delegationFlags) verify(cmd *cobra.Command, list []gtm.Delegation) error {
	v := gtm.Verifier{Port: d.port, Timeout: d.timeout}
	for _, s := range d.servers {
		server, err := serverAddress(s)
		if err != nil {
			return usagef(cmd, "--server: %v", err)
		}
		v.Servers = append(v.Servers, server)
	}
	var err error
	if v.Resolvers, err = gtm.SystemResolvers(); err != nil && len(v.Servers) == 0 {
		return fmt.Errorf("%w; name a DNS server of the parent zone with --server", err)
	}
	wrong := 0
	for _, one := range list {
		lines := []string{"", "verified from here, " + one.Zone + ":"}
		for _, f := range v.Verify(cmd.Context(), one) {
			lines = append(lines, f.Line())
			if f.Mark == gtm.Bad {
				wrong++
			}
		}
		if err := printLines(cmd.OutOrStdout(), lines); err != nil {
			return err
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d things are wrong with the delegation; see the lines with -", wrong)
	}
	return nil
}

// serverAddress reads an address with or without a port.
func serverAddress(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return net.JoinHostPort(a.String(), "53"), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is no address; write 192.0.2.53 or 192.0.2.53:53", s)
	}
	return a.String(), nil
}
