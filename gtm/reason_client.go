package gtm

import (
	"fmt"

	"switchpoint/gtm/place"
)

// clientLine says where the client is and what said so.
func (r *Reason) clientLine() string {
	who := r.Client.String()
	switch r.place.By {
	case place.BySubnet:
		who = fmt.Sprintf("%s asks for %s, which", who, r.Subnet)
	case place.ByResolver:
		who += " is a resolver and"
	case place.ByDomain:
		return fmt.Sprintf("%s is the computer %s (%s)", who, r.Domain, r.PrefixSource)
	}
	if r.Prefix.IsValid() {
		return fmt.Sprintf("%s is in %s (%s)", who, r.Prefix, r.PrefixSource)
	}
	if r.place.By == place.BySubnet {
		return who + " is in no network that is known: " + r.PrefixSource
	}
	return who + "; " + r.PrefixSource
}
