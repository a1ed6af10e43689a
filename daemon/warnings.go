package main

import "github.com/sirupsen/logrus"

// maxWarnings bounds how many warnings are recorded, and so how many are logged.
const maxWarnings = 100

// warnings logs each warning once.
type warnings struct {
	log    logrus.FieldLogger
	logged map[string]bool
}

func newWarnings(log logrus.FieldLogger) warnings { return warnings{log, map[string]bool{}} }

// logOnce logs a warning unless it was logged before.
func (w *warnings) logOnce(text string) {
	if !w.logged[text] && len(w.logged) < maxWarnings {
		w.logged[text] = true
		w.log.Warn(text)
	}
}
