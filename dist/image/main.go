// Program image packs file trees, one for each architecture, into an archive with an OCI image. It needs no registry and
// no container engine. `ctr image import` and `docker load` read the archive. The same trees give the same bytes.
//
//	image -name ghcr.io/podlane/podlane -version v1.0.0 -out podlane-image.tar amd64=bin/image/amd64 arm64=bin/image/arm64
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var (
		flags    = flag.NewFlagSet("image", flag.ContinueOnError)
		name     = flags.String("name", "ghcr.io/podlane/podlane", "the image's `name`, with the registry")
		version  = flags.String("version", "dev", "the image's tag")
		revision = flags.String("revision", "", "`commit` that the trees are built from")
		seconds  = flags.Int64("time", 0, "the build time in seconds since 1970: use the commit's, not the current time")
		out      = flags.String("out", "podlane-image.tar", "`file` to write")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("no file tree given: want ARCHITECTURE=FOLDER")
	}
	img := image{name: *name, version: *version, revision: *revision, created: time.Unix(*seconds, 0).UTC()}
	for _, arg := range flags.Args() {
		arch, dir, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q is not ARCHITECTURE=FOLDER", arg)
		}
		data, diffID, err := layer(dir, img.created)
		if err != nil {
			return fmt.Errorf("pack %s: %w", dir, err)
		}
		img.add(arch, data, diffID)
	}
	digest, err := img.write(*out)
	if err != nil {
		return fmt.Errorf("write %s: %w", *out, err)
	}
	fmt.Printf("%s: %s:%s %s\n", *out, img.name, img.version, digest)
	return nil
}
