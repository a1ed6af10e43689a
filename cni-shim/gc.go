package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// gc frees the addresses of attachments that are not valid any more, by the delegate's own DEL: bridge and host-local 1.9.1
// do nothing for a GC. It also frees those that a crash left without an owner. All are tried; then the delegate gets the
// GC, as the spec demands (section 2).
func gc(args *skel.CmdArgs) error {
	t, err := prepare(args.StdinData, lastNode)
	if err != nil {
		return err
	}
	valid, err := t.validAttachments()
	if err != nil {
		return err
	}
	binary, err := find(t.plugin, args.Path)
	if err != nil {
		return err
	}
	var errs []error
	if t.ipamType == hostLocal {
		dir, err := t.reservationDir()
		if err != nil {
			return err
		}
		errs = append(errs, freeUnowned(dir))
		all, err := readReservations(dir)
		errs = append(errs, err)
		for _, a := range staleAttachments(all, valid) {
			if err := runDelegate(binary, t.conf, delEnvironment(os.Environ(), a)); err != nil {
				errs = append(errs, fmt.Errorf("free the address of container %s, interface %s: %w", a.ContainerID, a.IfName, err))
			}
		}
	}
	if err := runDelegate(binary, t.conf, os.Environ()); err != nil {
		errs = append(errs, fmt.Errorf("garbage collection by %s: %w", t.plugin, err))
	}
	if err := errors.Join(errs...); err != nil {
		return types.NewError(types.ErrInternal, "not all that is stale was removed", err.Error())
	}
	return nil
}

// validAttachments is what the runtime still has; spec 1.1.0 was first implemented under the second key. An empty list
// means that everything is stale, a missing one does not.
func (c config) validAttachments() (valid []types.GCAttachment, err error) {
	for _, key := range []string{"cni.dev/valid-attachments", "cni.dev/attachments"} {
		if raw, ok := c.keys[key]; ok {
			if json.Unmarshal(raw, &valid) != nil {
				return nil, invalid("%q is %.60s, not a list of attachments", key, raw)
			}
			return valid, nil
		}
	}
	return nil, invalid("GC without %q: every pod would lose its address", "cni.dev/valid-attachments")
}

// staleAttachments is those of all that are not valid, each once. An old host-local wrote no interface: such an attachment
// is valid where its container has any.
func staleAttachments(all, valid []types.GCAttachment) (stale []types.GCAttachment) {
	for _, a := range all {
		still := slices.ContainsFunc(valid, func(v types.GCAttachment) bool {
			return v.ContainerID == a.ContainerID && (v.IfName == a.IfName || a.IfName == "")
		})
		if !still && !slices.Contains(stale, a) { // dual-stack: two addresses, one attachment
			stale = append(stale, a)
		}
	}
	return stale
}

// delEnvironment is the environment for the DEL of an attachment whose network namespace is taken as gone. Where the
// interface is not known any name will do: the delegate insists on one.
func delEnvironment(environ []string, a types.GCAttachment) []string {
	ifName := a.IfName
	if ifName == "" {
		ifName = "eth0"
	}
	return append(slices.DeleteFunc(slices.Clone(environ), isAttachment),
		"CNI_COMMAND=DEL", "CNI_CONTAINERID="+a.ContainerID, "CNI_IFNAME="+ifName, "CNI_NETNS=")
}

// isAttachment tells a variable that is about one attachment or about the command.
func isAttachment(variable string) bool {
	key, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS"}, key)
}
