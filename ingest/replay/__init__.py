"""One replay: parse, judge, describe."""
