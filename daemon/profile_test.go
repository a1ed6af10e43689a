package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreOnlyOnTheLocalSocket(t *testing.T) {
	open := handler(&board{}, newMetrics(&board{}).handler())
	for _, c := range []struct {
		handler http.Handler
		method  string
		path    string
		code    int
	}{
		{profiled(open), http.MethodGet, "/debug/pprof/heap", http.StatusOK},
		{profiled(open), http.MethodGet, "/debug/pprof/profile?seconds=1", http.StatusOK},
		{profiled(open), http.MethodGet, "/metrics", http.StatusOK},
		{profiled(open), http.MethodPost, "/debug/pprof/heap", http.StatusNotFound},
		{open, http.MethodGet, "/debug/pprof/heap", http.StatusNotFound},
		{open, http.MethodGet, "/debug/pprof/", http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		if w.Code != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.code)
		}
	}
}
