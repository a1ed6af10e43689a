package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// machineID is where the machine's id is (machine-id(5)).
const machineID = "/etc/machine-id"

// identity fills in who this node is where the operator did not say, and checks that other nodes will take it.
func (c *config) identity() error {
	if c.nodeID == "" {
		data, err := os.ReadFile(machineID)
		if err == nil {
			c.nodeID, err = parseMachineID(data)
		}
		if err != nil {
			return fmt.Errorf("this machine has no id: %w; make one with systemd-machine-id-setup, or give --node-id", err)
		}
	}
	if c.nodeName == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("read the host name: %w; give --node-name", err)
		}
		c.nodeName = name
	}
	return subnet.Node{ID: c.nodeID, Name: c.nodeName}.Check()
}

// parseMachineID takes nothing but an id: on the first boot of an image the file may say "uninitialized", and so on every
// node that was made of it.
func parseMachineID(data []byte) (string, error) {
	id := strings.TrimSpace(string(data))
	switch {
	case id == "":
		return "", errors.New(machineID + " is empty")
	case !regexp.MustCompile(`^[0-9A-Fa-f]{32}$`).MatchString(id):
		return "", fmt.Errorf("%s holds %.40q, not 32 hexadecimal digits", machineID, id)
	}
	return id, nil
}
