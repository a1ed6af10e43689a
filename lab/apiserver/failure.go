package apiserver

import (
	"fmt"
	"net/http"
)

// failure is an error as the real server returns it.
type failure struct {
	code            int
	reason, message string
	details         object
}

func fail(code int, reason, message string) *failure {
	return &failure{code, reason, message, nil}
}

// status returns the object that the client receives.
func (f *failure) status() object {
	o := object{"kind": "Status", "apiVersion": "v1", "metadata": object{}, "status": "Failure", "message": f.message, "reason": f.reason, "code": f.code}
	if f.details != nil {
		o["details"] = f.details
	}
	return o
}

// user is the name of all clients.
const user = "system:serviceaccount:podlane:podlane"

func forbidden(q query) *failure {
	what := q.key.resource
	if q.key.name != "" {
		what = fmt.Sprintf("%s %q", what, q.key.name)
	}
	scope := "at the cluster scope"
	if q.key.namespace != "" {
		scope = fmt.Sprintf("in the namespace %q", q.key.namespace)
	}
	f := fail(http.StatusForbidden, "Forbidden", fmt.Sprintf("%s is forbidden: User %q cannot %s resource %q in API group \"\" %s", what, user, q.verb, q.resource(), scope))
	f.details = object{"kind": q.key.resource}
	if q.key.name != "" {
		f.details["name"] = q.key.name
	}
	return f
}

func notFound(k key) *failure {
	f := fail(http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", k.resource, k.name))
	f.details = object{"name": k.name, "kind": k.resource}
	return f
}

func tooOld(asked, oldest int64) *failure {
	return fail(http.StatusGone, "Expired", fmt.Sprintf("too old resource version: %d (%d)", asked, oldest))
}

func tooLarge(asked, current int64) *failure {
	f := fail(http.StatusGatewayTimeout, "Timeout", fmt.Sprintf("Timeout: Too large resource version: %d, current: %d", asked, current))
	f.details = object{"causes": []any{object{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}}, "retryAfterSeconds": 1}
	return f
}

func invalid(message string) *failure {
	return fail(http.StatusUnprocessableEntity, "Invalid", message)
}
