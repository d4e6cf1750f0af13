"""Native dials: `/v1/dials`."""
