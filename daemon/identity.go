package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// machineID is the file with the machine's id (machine-id(5)).
const machineID = "/etc/machine-id"

// identity sets the node's id and name if the operator did not. It checks that other nodes accept them.
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

// parseMachineID returns the id in the content of machineID. In the first boot of an image the file may contain
// "uninitialized". That is not an id: every node with this image has the same text.
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
