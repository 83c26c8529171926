package app

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// Pick reads one value of a JSON document by its place: names with dots between, a number for the position in a list, as
// in results.0.id. It gives texts and numbers as they are written, true and false as such. It is not ok for everything
// else, and for what is not there.
func Pick(document any, place string) (string, bool) {
	for name := range strings.SplitSeq(place, ".") {
		switch at := document.(type) {
		case map[string]any:
			document = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				return "", false
			}
			document = at[i]
		default:
			return "", false
		}
	}
	switch value := document.(type) {
	case string:
		return value, true
	case bool:
		return strconv.FormatBool(value), true
	case json.Number:
		return value.String(), true
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), true
	}
	return "", false
}

func validPlace(text string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}$`).MatchString(text)
}
