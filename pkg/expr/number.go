package expr

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// numberLength is how many bytes at the beginning of s are a number as JSON writes it, 0 where there is none.
func numberLength(s string) int {
	end := 0
	if strings.HasPrefix(s, "-") {
		end = 1
	}
	switch digits := digitsLength(s[end:]); {
	case digits == 0:
		return 0
	case s[end] == '0':
		end++ // a number may not go on after a leading zero
	default:
		end += digits
	}
	if fraction := strings.TrimPrefix(s[end:], "."); len(fraction) < len(s[end:]) && digitsLength(fraction) > 0 {
		end += 1 + digitsLength(fraction)
	}
	return end + exponentLength(s[end:])
}

func exponentLength(s string) int {
	if s == "" || s[0] != 'e' && s[0] != 'E' {
		return 0
	}
	sign := 1
	if len(s) > 1 && (s[1] == '+' || s[1] == '-') {
		sign = 2
	}
	if digits := digitsLength(s[sign:]); digits > 0 {
		return sign + digits
	}
	return 0
}

func digitsLength(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// isNumber says whether JSON would write a number so.
func isNumber(s string) bool { return s != "" && numberLength(s) == len(s) }

// isInteger says whether s is an integer in plain digits, which keep all their worth.
func isInteger(s string) bool {
	return isNumber(s) && digitsLength(strings.TrimPrefix(s, "-")) == len(strings.TrimPrefix(s, "-"))
}

// formatNumber writes a number as JavaScript prints it. Source: ECMA-262 Number::toString, which encoding/json follows
// but for the numbers that JSON lacks, and minus zero.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+") + "inity"
	case f == 0:
		return "0"
	}
	text, err := json.Marshal(f)
	if err != nil { // only for the numbers above
		return "NaN"
	}
	return string(text)
}

// spellNumber is a number's text as JavaScript prints it, but integers keep all their digits.
func spellNumber(text string) string {
	if isInteger(text) && text != "-0" {
		return text
	}
	return formatNumber(parseNumber(text))
}

// parseNumber reads a text as JavaScript's Number does. What is not a number is NaN.
func parseNumber(text string) float64 {
	text = strings.TrimFunc(text, isSpace)
	switch strings.TrimLeft(text, "+-") {
	case "":
		if text != "" {
			return math.NaN()
		}
		return 0
	case "Infinity":
	default:
		if strings.Trim(text, "0123456789+-.eE") != "" { // ParseFloat knows more than JavaScript
			return parseRadix(text)
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

// parseRadix reads 0x, 0o and 0b numbers.
func parseRadix(text string) float64 {
	if len(text) < 3 || text[0] != '0' {
		return math.NaN()
	}
	base := map[byte]float64{'x': 16, 'o': 8, 'b': 2}[text[1]|0x20]
	f := 0.0
	for _, c := range text[2:] {
		digit := float64(strings.IndexRune("0123456789abcdef", c|0x20))
		if digit < 0 || digit >= base {
			return math.NaN()
		}
		f = f*base + digit
	}
	return f
}

// integer is JavaScript's ToIntegerOrInfinity, held within what a length can be.
func integer(f float64) int {
	if math.IsNaN(f) {
		return 0
	}
	return int(max(math.MinInt32, min(math.MaxInt32, math.Trunc(f))))
}
