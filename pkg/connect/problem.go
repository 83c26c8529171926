package connect

import (
	"net/http"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// problem is why a page cannot be shown or a try came to nothing, in words for the user.
type problem struct {
	status int
	title  string
	why    string
	// cause is for the log. Nil for what is the user's to mend.
	cause error
}

func (p problem) Error() string {
	if p.cause != nil {
		return p.title + ": " + p.cause.Error()
	}
	return p.title + ": " + p.why
}

func (p problem) Unwrap() error { return p.cause }

func unknownLink() problem {
	return problem{
		status: http.StatusNotFound, title: "This link has expired",
		why: "A link to connect an account is good for a few hours, and once. Go back to the application you came from and start again.",
	}
}

func usedLink() problem {
	return problem{
		status: http.StatusGone, title: "This link was used already",
		why: "A link to connect an account works once. If the account is connected, there is nothing more to do. If not, go back to the application you came from and start again.",
	}
}

func badLink(why string) problem {
	return problem{status: http.StatusBadRequest, title: "This link is not complete", why: why + " The people who run the application can mend it."}
}

func otherBrowser() problem {
	return problem{
		status: http.StatusForbidden, title: "This was not started in this browser",
		why: "The page you come from leads only to the browser that started, once, and for a quarter of an hour. Nothing was connected. Go back to the application and start again.",
	}
}

func foreignForm() problem {
	return problem{
		status: http.StatusForbidden, title: "This was sent by another site",
		why: "Only the page itself may send what you fill in on it. Nothing was connected. Go back to the application you came from and start again.",
	}
}

func tooOften() problem {
	return problem{status: http.StatusTooManyRequests, title: "Too many requests", why: "Wait a minute, then load this page again."}
}

// shown is an error as the user sees it.
func shown(err error) problem {
	if p, ok := asProblem(err); ok {
		return p
	}
	switch kind := fault.KindOf(err); kind {
	case fault.Invalid, fault.NotFound, fault.Forbidden, fault.Unauthenticated, fault.StepFailed:
		return problem{status: http.StatusUnprocessableEntity, title: "The account was not connected", why: sentence(fault.Safe(err))}
	case fault.Conflict:
		return problem{status: http.StatusConflict, title: "The account was not connected", why: "It is being connected in another window right now. Load this page again."}
	case fault.Exhausted, fault.Unavailable, fault.Timeout, fault.Canceled:
		return problem{
			status: http.StatusServiceUnavailable, title: "This does not work right now",
			why: sentence(fault.Safe(err)) + " Nothing was connected. Try again in a minute.", cause: err,
		}
	case fault.Internal:
	}
	return problem{status: http.StatusInternalServerError, title: "This does not work", why: "Something went wrong on our side. Nothing was connected. Try again later.", cause: err}
}
