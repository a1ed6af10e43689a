package main

import (
	"io"

	"github.com/sirupsen/logrus"
)

// newLogger returns a logger for checked settings.
func newLogger(c config, w io.Writer) *logrus.Logger {
	level, err := logrus.ParseLevel(c.logLevel)
	if err != nil {
		level = logrus.InfoLevel
	}
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(level)
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	if c.logFormat == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	}
	return log
}

// isLevel reports whether a text is a log level.
func isLevel(text string) bool {
	_, err := logrus.ParseLevel(text)
	return err == nil
}
