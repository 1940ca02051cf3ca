"""Tables that people bring: text of many dialects, and columns of ids and numbers, with every problem noted."""
