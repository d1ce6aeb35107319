"""Why a field is as it is: what makes it large, how a pixel gets to a position, where one is lost."""
