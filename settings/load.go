package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Parse parses the flags, and returns the other arguments. Flags may come before, between and after them. A request for help
// is answered: the error is flag.ErrHelp. Parse does not print any other error.
func Parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	help, show := f.Output(), f.Usage
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	defer func() { f.SetOutput(help); f.Usage = show }()
	for {
		if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
			f.SetOutput(help)
			show()
			return nil, err
		} else if err != nil {
			return nil, err
		}
		if args = f.Args(); len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// Fill sets the flags that the arguments have not set. It reads the environment, and then the file that FileFlag names. A
// command without that flag has no file. The error is the first one. The correct settings are set anyway.
func Fill(f *flag.FlagSet, environ []string) error {
	given := map[string]bool{}
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	err := fromEnvironment(f, environ, given)
	if wrong := fromFile(f, given); err == nil {
		err = wrong
	}
	return err
}

// FirstGiven returns the alphabetically first setting whose name begins with a prefix and whose value was given and is not empty.
// It returns nothing if there is none. Call it after Fill.
func FirstGiven(f *flag.FlagSet, prefix string) (name string) {
	f.Visit(func(x *flag.Flag) {
		if name == "" && strings.HasPrefix(x.Name, prefix) && x.Value.String() != "" {
			name = x.Name
		}
	})
	return name
}

// Variable returns the name of a flag's environment variable.
func Variable(name string) string {
	return "PODLANE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fromEnvironment sets the flags that are not given yet. From then on they are given. If a variable is set twice, the last
// value counts.
func fromEnvironment(f *flag.FlagSet, environ []string, given map[string]bool) error {
	values := map[string]string{}
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		values[key] = value
	}
	var errs []error
	f.VisitAll(func(x *flag.Flag) {
		value, set := values[Variable(x.Name)]
		if !set || given[x.Name] {
			return
		}
		given[x.Name] = true
		if err := f.Set(x.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment %s=%s: %w", Variable(x.Name), value, err))
		}
	})
	return errors.Join(errs...)
}
