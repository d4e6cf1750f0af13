"""One dial: targets, a plan, one result. What a leg is, is defined here; how it is carried, is not."""
