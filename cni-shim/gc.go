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

// gc frees the addresses of stale attachments. bridge and host-local 1.9.1 do nothing at a GC, so gc runs the delegate's
// DEL for each. It also frees addresses whose reservations lost their owner in a crash. It goes on after an error. At the
// end it runs the delegate's GC, as the spec requires (section 2).
func gc(args *skel.CmdArgs) error {
	t, err := prepare(args.StdinData, nodeOrPlaceholder)
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
		return types.NewError(types.ErrInternal, "some stale addresses were not freed", err.Error())
	}
	return nil
}

// validAttachments returns the attachments that the runtime still has. Early implementations of spec 1.1.0 used the second
// key. An empty list means that all attachments are stale. A missing list is an error.
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

// staleAttachments returns the attachments of all that are not in valid, each once. An old host-local wrote no interface.
// Such an attachment is valid if its container has any valid attachment.
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

// delEnvironment returns the environment for an attachment's DEL. It names no network namespace, because that may be gone.
// If the interface is unknown, it is eth0, because the delegate needs a name.
func delEnvironment(environ []string, a types.GCAttachment) []string {
	ifName := a.IfName
	if ifName == "" {
		ifName = "eth0"
	}
	return append(slices.DeleteFunc(slices.Clone(environ), isAttachmentVariable),
		"CNI_COMMAND=DEL", "CNI_CONTAINERID="+a.ContainerID, "CNI_IFNAME="+ifName, "CNI_NETNS=")
}

// isAttachmentVariable reports whether a variable is about one attachment or about the command.
func isAttachmentVariable(variable string) bool {
	key, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{"CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS"}, key)
}
