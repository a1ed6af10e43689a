package main

import (
	"fmt"
	"io"

	"github.com/sirupsen/logrus"
)

func newLogger(c config, w io.Writer) (*logrus.Logger, error) {
	level, err := logrus.ParseLevel(c.logLevel)
	if err != nil {
		return nil, fmt.Errorf("log-level %q is none of debug, info, warning and error", c.logLevel)
	}
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(level)
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	if c.logFormat == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	}
	return log, nil
}
