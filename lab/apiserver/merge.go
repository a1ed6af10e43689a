package apiserver

import "strings"

// mergeKeys are the lists that a strategic merge patch merges by a key. It replaces other lists.
var mergeKeys = map[string]string{"conditions": "type", "addresses": "type"}

// merge returns an object with a patch applied. A null removes a field (RFC 7396).
func merge(into, patch object, strategic bool) object {
	merged := clone(into)
	for name, value := range patch {
		if strategic && strings.HasPrefix(name, "$") {
			continue // orders of lists
		}
		switch value := value.(type) {
		case nil:
			delete(merged, name)
		case map[string]any:
			have, _ := merged[name].(map[string]any)
			merged[name] = merge(have, value, strategic)
		case []any:
			have, _ := merged[name].([]any)
			if key := mergeKeys[name]; strategic && key != "" {
				merged[name] = mergeList(have, value, key)
			} else {
				merged[name] = copyValue(value)
			}
		default:
			merged[name] = value
		}
	}
	return merged
}

// mergeList merges the elements of a list by a key.
func mergeList(into, patch []any, key string) []any {
	merged := copyValue(into).([]any)
	for _, p := range patch {
		change, ok := p.(map[string]any)
		if !ok {
			continue
		}
		at := -1
		for i, e := range merged {
			if have, ok := e.(map[string]any); ok && have[key] == change[key] {
				at = i
			}
		}
		switch {
		case change["$patch"] == "delete" && at >= 0:
			merged = append(merged[:at], merged[at+1:]...)
		case change["$patch"] == "delete":
		case at >= 0:
			merged[at] = merge(merged[at].(map[string]any), change, true)
		default:
			merged = append(merged, merge(nil, change, true))
		}
	}
	return merged
}
