package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
)

// ConfigMap is the name of the ConfigMap with the network configuration.
const ConfigMap = "podlane-network"

// configuration is the network configuration in use: the last valid one.
type configuration struct {
	raw      []byte         // as written; nil: there was no valid one yet
	network  subnet.Network // without SubnetMin and SubnetMax, which the controller that assigns podCIDRs does not know
	warnings []string
	fault    string // why the newest one is not in use
}

// restore uses the configuration of the last run until podlane-kube sends one.
func (c *configuration) restore(raw []byte) {
	if n, warnings, err := subnet.ParseNetwork(raw); err == nil {
		c.raw, c.network, c.warnings = raw, n.Whole(), warnings
	}
}

// apply uses the configuration of a message if it is valid.
func (c *configuration) apply(l *channel.Leases) {
	c.fault = ""
	switch {
	case l.Fault != "":
		c.fault = l.Fault
	case len(l.Config) == 0:
		c.fault = "podlane-kube has sent no network configuration"
	case !bytes.Equal(c.raw, l.Config):
		n, warnings, err := subnet.ParseNetwork(l.Config)
		if err != nil {
			c.fault = fmt.Sprintf("the ConfigMap %s is not valid: %v; correct net-conf.json in it", ConfigMap, err)
			return
		}
		c.raw, c.network, c.warnings = slices.Clone(l.Config), n.Whole(), warnings
	}
}

// err returns why the newest configuration is not in use.
func (c *configuration) err() error {
	switch {
	case c.fault == "":
		return nil
	case c.raw == nil:
		return errors.New(c.fault)
	}
	return errors.New(c.fault + "; the last valid configuration stays in use")
}
